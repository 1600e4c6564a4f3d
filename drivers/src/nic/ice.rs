//! Intel 800 series. Physical and sub-functions only, and not in safe mode (without a DDP package); XDP
//! needs a transmit queue for each CPU. With the private flag `legacy-rx` the limit is 1638 bytes.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ice",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/intel/ice/ice_main.c: ice_xdp_setup_prog",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY, X::RX_SG])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG])
        .sometimes(&[], "none in safe mode; only of physical and subfunctions"),
    rules: &[
        Rule::Mtu(3046, When::WithoutFrags),
        Rule::Untold(
            "not-enough-queues",
            "a transmit queue for each CPU must be free for XDP",
            "ethtool -L {dev} combined N, with N smaller",
        ),
        Rule::Has(Feature::Metadata),
    ],
};
