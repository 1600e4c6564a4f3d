//! Solarflare SFC9000. What is wrong stands in the kernel log only.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "sfc-siena",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/sfc/siena/efx.c: efx_xdp_setup_prog",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit half a page",
        "ip link set dev {dev} mtu 1500",
    )],
};
