//! What is right: a laboratory of network namespaces and veth pairs, frames and captures.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lab`] | namespaces, veth pairs and other links that leave nothing behind |
//! | [`frame`] | building, reading and comparing frames |
//! | [`capture`] | raw frames out, raw frames in |
//! | [`conformance`] | the conformance suite: cases, runner, report |
//! | [`socket`] | ordinary sockets inside a namespace |
//! | [`fuzz`] | random programs on random frames, one form of them against another |
//! | [`devices`] | rows of docs/devices.md held against live devices |
//! | [`instructions`] | programs of a few instructions, and operands at which implementations go wrong |
//! | [`dut`] | the device under test: hoist's own planning and running on a port |
//! | [`programs`] | programs of the conformance suite |
//! | [`require`] | whether a test that needs privileges can run here, said by name when not |
//! | [`vm`] | virtual machines with other kernels, and with a simulated NIC |
//! | [`wait`] | waiting, never for ever |

pub mod capture;
pub mod conformance;
pub mod devices;
pub mod dut;
pub mod frame;
pub mod fuzz;
pub mod instructions;
pub mod lab;
pub mod programs;
pub mod require;
pub mod socket;
mod sys;
pub mod vm;
pub mod wait;
