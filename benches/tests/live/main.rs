//! Generators on veth pairs: what they say that they sent, what others counted, and what a capture
//! shows.

mod counts;
mod foreign;
mod frames;
mod lab;
mod sockets;
