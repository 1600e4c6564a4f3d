//! The userspace engine: an eBPF machine that needs no kernel BPF.

pub mod environment;
pub mod maps;
pub mod ports;
pub mod vm;
