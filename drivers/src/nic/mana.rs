//! Microsoft Azure Network Adapter.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mana",
    aliases: &[],
    since: "5.17",
    source: "drivers/net/ethernet/microsoft/mana/mana_bpf.c: mana_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[Rule::Mtu(3506, When::Always)],
};
