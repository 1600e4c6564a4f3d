//! The maps of the userspace engine do what the kernel's do: the same operations on both, the same
//! results and errors.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod both;
mod cases;
mod creation;
mod program;
mod random;
