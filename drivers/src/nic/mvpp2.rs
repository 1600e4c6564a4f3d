//! Marvell Armada 7k, 8k. Needs pools per CPU and two transmit queues for each CPU; else it reports no
//! xdp-features.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mvpp2",
    aliases: &[],
    since: "5.9",
    source: "drivers/net/ethernet/marvell/mvpp2/mvpp2_main.c: mvpp2_xdp_setup",
    reports: Reports::always(&[]).sometimes(
        &[X::BASIC, X::REDIRECT, X::NDO_XMIT],
        "per-CPU pools, and two transmit queues for each CPU",
    ),
    rules: &[Rule::Untold(
        "not-enough-queues",
        "two transmit queues for each CPU and pools per CPU are needed",
        "ethtool -L {dev} rx N, with N at most the number of CPUs",
    )],
};
