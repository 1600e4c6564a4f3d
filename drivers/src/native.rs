//! The native engine: XDP in the driver, before a socket buffer exists.

use hoist_offload::xdp::XdpEngine;

/// XDP in the driver (`XDP_FLAGS_DRV_MODE`). What a driver asks of its settings is in [`crate::nic`].
pub static NATIVE: XdpEngine = XdpEngine::NATIVE;
