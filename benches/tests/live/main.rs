//! The generator within the kernel, on veth pairs: what it says that it sent, what others counted,
//! and what a capture shows.

mod counts;
mod frames;
mod lab;
