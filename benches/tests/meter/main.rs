//! The meter on veth pairs: every packet accounted for on every engine, and every planted fault named.
#![expect(clippy::unwrap_used, reason = "a wire that cannot be laid has failed the test")]

mod bounce;
mod engines;
mod faults;
mod receiver;
mod world;
