//! NXP ENETC: XDP takes a transmit ring for each possible CPU from the stack.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_enetc",
    aliases: &["fsl_enetc_vf"],
    since: "5.13",
    source: "drivers/net/ethernet/freescale/enetc/enetc.c: enetc_setup_xdp_prog",
    rules: &[Rule::Untold(
        "not-enough-queues",
        "a transmit ring for each possible CPU must be free for XDP",
        "tc qdisc del dev {dev} root",
    )],
};
