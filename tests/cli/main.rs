//! The command as its users see it: recorded hosts without privilege, veth pairs with it.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod adjust;
mod bench;
mod captures;
mod copies;
mod harness;
mod lint;
mod live;
mod maps;
mod recorded;
mod sizes;
mod tc;
mod usage;
mod user;
mod verify;
