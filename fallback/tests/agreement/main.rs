//! Compiled code does what the interpreter does: verdicts, frames, map values and faults, on random
//! programs that no verifier has seen, and on those of the corpus.
#![cfg(feature = "compiled")]

mod compare;
mod corpus;
mod generate;
mod random;
