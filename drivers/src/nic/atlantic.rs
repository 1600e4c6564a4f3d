//! Aquantia and Marvell AQC. It switches LRO off by itself.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "atlantic",
    aliases: &[],
    since: "5.19",
    source: "drivers/net/ethernet/aquantia/atlantic/aq_main.c: aq_xdp_setup",
    rules: &[Rule::Mtu(2048, When::WithoutFrags)],
};
