//! Microsoft Azure Network Adapter.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mana",
    aliases: &[],
    since: "5.17",
    source: "drivers/net/ethernet/microsoft/mana/mana_bpf.c: mana_xdp_set",
    rules: &[Rule::Mtu(3506, When::Always)],
};
