//! Every instruction of RFC 9669 with the operands at which implementations go wrong: the userspace
//! machine computes what the kernel's `BPF_PROG_TEST_RUN` computes.
//!
//! Operands come from the frame and results go back into it, so that the verifier knows nothing about
//! them and the kernel's JIT has to compute.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod arithmetic;
mod atomics;
mod calls;
mod jumps;
mod memory;
mod random;
mod sides;
