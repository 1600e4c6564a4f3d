//! Google Virtual Ethernet. In the GQI_QPL queue format only; otherwise it reports no xdp-features. What is
//! wrong stands in the kernel log only.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "gve",
    aliases: &[],
    since: "6.4",
    source: "drivers/net/ethernet/google/gve/gve_main.c: verify_xdp_configuration",
    reports: Reports::always(&[])
        .attached(&[X::NDO_XMIT])
        .sometimes(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY], "queues in the GQI_QPL format only"),
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(2032, When::Always), Rule::PairedQueues],
};
