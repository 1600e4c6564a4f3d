//! Netronome and Corigine Agilio. xdp-features may say redirect, but the receive path of NFD3 has no
//! `XDP_REDIRECT`: such frames are dropped as aborted (nfd3/dp.c).

use hoist_bpf::requirements::Feature;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Offloading, Rule};
use crate::table::Reports;

mod profile;
mod rules;

pub use profile::PROFILE;

/// See the module.
pub static DRIVER: Offloading = Offloading { nic: NIC, profile: || &PROFILE };

const NIC: Nic = Nic {
    name: "nfp",
    aliases: &[],
    since: "4.10",
    source: "drivers/net/ethernet/netronome/nfp/nfp_net_common.c: nfp_net_xdp_setup_drv",
    reports: Reports::always(&[X::BASIC]).sometimes(
        &[X::HW_OFFLOAD, X::REDIRECT, X::XSK_ZEROCOPY],
        "hw-offload with the eBPF firmware; redirect and xsk-zerocopy with NFD3",
    ),
    rules: &[
        Rule::Lacks(Feature::Redirect),
        Rule::Untold(
            "mtu-too-large",
            "a frame must fit one page",
            "ip link set dev {dev} mtu 1500",
        ),
        Rule::Untold(
            "not-enough-queues",
            "a transmit ring for each receive ring must be free for XDP",
            "ethtool -L {dev} combined N, with N smaller",
        ),
    ],
};
