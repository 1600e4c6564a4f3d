//! Aquantia and Marvell AQC. It switches LRO off by itself.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "atlantic",
    aliases: &[],
    since: "5.19",
    source: "drivers/net/ethernet/aquantia/atlantic/aq_main.c: aq_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT, X::RX_SG, X::NDO_XMIT_SG]),
    rules: &[Rule::Mtu(2048, When::WithoutFrags)],
};
