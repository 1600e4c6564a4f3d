//! Programs lowered for cards do what they did: on the host's kernel, the original against the lowered
//! form, by verdict, bytes and maps. The real verifier takes every lowered form.
//!
//! No card executes anything here; docs/lowering.md says what that leaves open.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod compiled;
mod corpus;
mod faults;
mod pair;
mod rewrites;
mod suite;
