//! Hyper-V. A program attached here reaches the virtual function below it by itself: never attach to the
//! virtual function.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "hv_netvsc",
    aliases: &[],
    since: "5.6",
    source: "drivers/net/hyperv/netvsc_bpf.c: netvsc_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(3506, When::Always)],
};
