//! Every engine on a veth pair: native and generic XDP, and TC at both of its hooks.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod keeping;
mod objects;
mod replacing;
mod running;
mod support;
mod user;
