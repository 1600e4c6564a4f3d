//! The userspace engine: an eBPF machine that needs no kernel BPF.

mod attachment;
mod capabilities;
mod conditions;
pub mod engine;
pub mod environment;
pub mod executor;
pub mod maps;
pub mod ports;
pub mod trace;
pub mod vm;
