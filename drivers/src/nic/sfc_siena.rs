//! Solarflare SFC9000. What is wrong stands in the kernel log only.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "sfc-siena",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/sfc/siena/efx.c: efx_xdp_setup_prog",
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit half a page",
        "ip link set dev {dev} mtu 1500",
    )],
};
