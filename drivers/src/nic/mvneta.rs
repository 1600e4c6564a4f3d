//! Marvell Armada 370, XP, 38x. Not with hardware buffer management.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mvneta",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/marvell/mvneta.c: mvneta_xdp_setup",
    reports: Reports::always(&[]).sometimes(
        &[X::BASIC, X::REDIRECT, X::NDO_XMIT, X::RX_SG, X::NDO_XMIT_SG],
        "without hardware buffer management",
    ),
    rules: &[
        Rule::Mtu(3520, When::WithoutFrags),
        Rule::Untold(
            "hardware-buffers",
            "hardware buffer management must be off for native XDP",
            "boot with a device tree without buffer-manager for {dev}",
        ),
    ],
};
