//! Solarflare and AMD X2, X3, EF100. What is wrong stands in the kernel log only.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "sfc",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/sfc/efx.c: efx_xdp_setup_prog",
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit half a page",
        "ip link set dev {dev} mtu 1500",
    )],
};
