//! Freescale DPAA: a frame must fit one buffer.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_dpaa_eth",
    aliases: &["fsl_dpa"],
    since: "5.11",
    source: "drivers/net/ethernet/freescale/dpaa/dpaa_eth.c: dpaa_setup_xdp",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
