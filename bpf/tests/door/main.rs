//! The door on the running kernel: each test in a network namespace of its own.
#![cfg(feature = "kernel")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attach;
mod bench;
mod count;
mod entries;
mod likeness;
mod load;
mod notes;
mod tc;
mod watch;
mod ways;
