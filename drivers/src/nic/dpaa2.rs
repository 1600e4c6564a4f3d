//! NXP DPAA2: a frame must fit one buffer. What is wrong stands in the kernel log only.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_dpaa2_eth",
    aliases: &[],
    since: "5.0",
    source: "drivers/net/ethernet/freescale/dpaa2/dpaa2-eth.c: dpaa2_eth_setup_xdp",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT])
        .sometimes(&[X::XSK_ZEROCOPY], "hardware of WRIOP 3 or later with at most 8 queues"),
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one receive buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
