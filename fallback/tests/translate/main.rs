//! The translator without a kernel: what holds of every translation, what is refused and why, and
//! what the code of small programs becomes.
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod corpus;
mod damage;
mod invariants;
mod properties;
mod refusals;
mod runtime;
mod snapshots;
mod uses;
