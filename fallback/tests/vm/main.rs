//! The userspace machine: programs as compilers write them, and as nobody should.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod entries;
mod hostile;
mod limits;
mod machine;
mod observed;
mod paths;
mod programs;
mod proofs;
mod random;
