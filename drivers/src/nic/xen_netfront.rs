//! Xen guests. Attaching succeeds, without running anything, when the backend grants no headroom
//! (`feature-xdp-headroom`): see whether the counters move.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "vif",
    aliases: &["xen-netfront", "xen_netfront"],
    since: "5.9",
    source: "drivers/net/xen-netfront.c: xennet_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[
        Rule::Mtu(3840, When::Always),
        Rule::Note(
            "may-not-run",
            "the backend may lack feature-xdp-headroom: then attaching succeeds and nothing runs",
            When::Always,
        ),
    ],
};
