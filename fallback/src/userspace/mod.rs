//! The userspace engine: an eBPF machine that needs no kernel BPF.

mod attachment;
mod capabilities;
mod conditions;
pub mod control;
pub mod engine;
mod entries;
pub mod environment;
pub mod executor;
pub mod maps;
pub mod ports;
#[cfg(feature = "linux")]
mod routes;
pub mod trace;
pub mod vm;
