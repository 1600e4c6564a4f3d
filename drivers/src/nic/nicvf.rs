//! Cavium ThunderX. The receive and transmit queues together must not exceed what the device has; `REDIRECT`
//! does not exist. What is wrong stands in the kernel log only.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "nicvf",
    aliases: &["thunder-nicvf"],
    since: "4.12",
    source: "drivers/net/ethernet/cavium/thunder/nicvf_main.c: nicvf_xdp_setup",
    reports: Reports::always(&[])
        .sometimes(&[X::BASIC], "enough queues, and hardware after the first pass"),
    rules: &[
        Rule::Mtu(1508, When::Always),
        Rule::Lacks(Feature::Redirect),
        Rule::Untold(
            "not-enough-queues",
            "rx and tx queues together must not exceed the device's",
            "ethtool -L {dev} rx N tx N, with N smaller",
        ),
    ],
};
