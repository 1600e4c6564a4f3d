//! VMware. It switches LRO off by itself, and says so in a warning that comes with success.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "vmxnet3",
    aliases: &[],
    since: "6.6",
    source: "drivers/net/vmxnet3/vmxnet3_xdp.c: vmxnet3_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[
        Rule::Mtu(3494, When::Always),
        Rule::Note("lro-goes-off", "LRO is switched off when a program is attached", When::Always),
    ],
};
