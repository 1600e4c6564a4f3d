//! What is right: a laboratory of network namespaces and veth pairs, frames and captures.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | building, reading and comparing frames |
//! | [`require`] | whether a test that needs privileges can run here, said by name when not |

pub mod frame;
pub mod require;
