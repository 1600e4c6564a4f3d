//! Engleder TSN endpoint.

use crate::rules::Nic;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "tsnep",
    aliases: &[],
    since: "6.3",
    source: "drivers/net/ethernet/engleder/tsnep_main.c: tsnep_netdev_bpf",
    rules: &[],
};
