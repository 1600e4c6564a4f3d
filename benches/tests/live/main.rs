//! Generators on veth pairs: what they say that they sent, what others counted, and what a capture
//! shows.
#![expect(clippy::unwrap_used, reason = "a generator that cannot be had has failed the test")]

mod counts;
mod foreign;
mod frames;
mod lab;
mod sockets;
