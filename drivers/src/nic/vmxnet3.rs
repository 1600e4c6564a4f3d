//! VMware. It switches LRO off by itself, and says so in a warning that comes with success.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "vmxnet3",
    aliases: &[],
    since: "6.6",
    source: "drivers/net/vmxnet3/vmxnet3_xdp.c: vmxnet3_xdp_set",
    rules: &[
        Rule::Mtu(3494, When::Always),
        Rule::Note("lro-goes-off", "LRO is switched off when a program is attached", When::Always),
    ],
};
