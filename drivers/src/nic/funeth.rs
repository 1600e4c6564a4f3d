//! Fungible Ethernet: a frame must fit one receive buffer.

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "funeth",
    aliases: &[],
    since: "5.18",
    source: "drivers/net/ethernet/fungible/funeth/funeth_main.c: fun_xdp_setup",
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one receive buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
