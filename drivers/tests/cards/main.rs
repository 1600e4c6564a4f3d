//! The profiles of cards: each rule finds what breaks it, each word of the drivers is understood, and
//! the verdicts of docs/nfp.md are those that are computed.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod assemble;
mod corpus;
mod rules;
mod words;
