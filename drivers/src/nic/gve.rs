//! Google Virtual Ethernet. In the GQI_QPL queue format only; otherwise it reports no xdp-features. What is
//! wrong stands in the kernel log only.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "gve",
    aliases: &[],
    since: "6.4",
    source: "drivers/net/ethernet/google/gve/gve_main.c: verify_xdp_configuration",
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(2032, When::Always), Rule::PairedQueues],
};
