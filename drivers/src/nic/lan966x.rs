//! Microchip LAN966x, where frames go through the FDMA.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "lan966x-switch",
    aliases: &["lan966x"],
    since: "6.2",
    source: "drivers/net/ethernet/microchip/lan966x/lan966x_xdp.c: lan966x_xdp_setup",
    reports: Reports::always(&[])
        .sometimes(&[X::BASIC, X::REDIRECT, X::NDO_XMIT], "hardware with FDMA"),
    rules: &[],
};
