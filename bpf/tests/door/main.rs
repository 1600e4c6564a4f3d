//! The door on the running kernel: each test in a network namespace of its own.
#![cfg(feature = "kernel")]

mod attach;
mod bench;
mod entries;
mod load;
