//! Compiled code does what the interpreter does: verdicts, frames, map values and faults, on random
//! programs that no verifier has seen.
#![cfg(feature = "compiled")]

mod compare;
mod generate;
mod random;
