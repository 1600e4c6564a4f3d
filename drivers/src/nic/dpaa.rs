//! Freescale DPAA: a frame must fit one buffer.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fsl_dpaa_eth",
    aliases: &["fsl_dpa"],
    since: "5.11",
    source: "drivers/net/ethernet/freescale/dpaa/dpaa_eth.c: dpaa_setup_xdp",
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
