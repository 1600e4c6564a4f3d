//! Marvell Armada 370, XP, 38x. Not with hardware buffer management.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mvneta",
    aliases: &[],
    since: "5.5",
    source: "drivers/net/ethernet/marvell/mvneta.c: mvneta_xdp_setup",
    rules: &[
        Rule::Mtu(3520, When::WithoutFrags),
        Rule::Untold(
            "hardware-buffers",
            "hardware buffer management must be off for native XDP",
            "boot with a device tree without buffer-manager for {dev}",
        ),
    ],
};
