//! Cavium ThunderX. The receive and transmit queues together must not exceed what the device has; `REDIRECT`
//! does not exist. What is wrong stands in the kernel log only.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "nicvf",
    aliases: &["thunder-nicvf"],
    since: "4.12",
    source: "drivers/net/ethernet/cavium/thunder/nicvf_main.c: nicvf_xdp_setup",
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
