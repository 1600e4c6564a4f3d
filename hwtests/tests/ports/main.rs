//! The ports of the userspace engine on veth pairs: what becomes of frames and verdicts.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod af_packet;
mod af_xdp;
mod tap;
mod world;
