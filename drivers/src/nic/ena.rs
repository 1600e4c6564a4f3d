//! Amazon Elastic Network Adapter. Half of the channels are kept for XDP; with more in use it reports no
//! xdp-features. It lowers the largest MTU while a program is attached.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ena",
    aliases: &[],
    since: "5.6",
    source: "drivers/net/ethernet/amazon/ena/ena_xdp.c: ena_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT])
        .attached(&[X::NDO_XMIT])
        .sometimes(&[], "none while more than half of the channels are in use"),
    rules: &[Rule::Mtu(3498, When::Always), Rule::HalfOfChannels],
};
