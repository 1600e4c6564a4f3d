//! The generic engine: XDP in the core, on the socket buffer.

use hoist_offload::xdp::XdpEngine;

/// XDP in the core (`XDP_FLAGS_SKB_MODE`): every Ethernet device has it, whatever its driver.
pub static GENERIC: XdpEngine = XdpEngine::GENERIC;
