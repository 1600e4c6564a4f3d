//! NXP DPAA2: a frame must fit one buffer. What is wrong stands in the kernel log only.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_dpaa2_eth",
    aliases: &[],
    since: "5.0",
    source: "drivers/net/ethernet/freescale/dpaa2/dpaa2-eth.c: dpaa2_eth_setup_xdp",
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one receive buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
