//! NXP ENETC: XDP takes a transmit ring for each possible CPU from the stack.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_enetc",
    aliases: &["fsl_enetc_vf"],
    since: "5.13",
    source: "drivers/net/ethernet/freescale/enetc/enetc.c: enetc_setup_xdp_prog",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT, X::RX_SG, X::NDO_XMIT_SG]),
    rules: &[Rule::Untold(
        "not-enough-queues",
        "a transmit ring for each possible CPU must be free for XDP",
        "tc qdisc del dev {dev} root",
    )],
};
