//! Engleder TSN endpoint.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "tsnep",
    aliases: &[],
    since: "6.3",
    source: "drivers/net/ethernet/engleder/tsnep_main.c: tsnep_netdev_bpf",
    reports: Reports::always(&[
        X::BASIC,
        X::REDIRECT,
        X::NDO_XMIT,
        X::NDO_XMIT_SG,
        X::XSK_ZEROCOPY,
    ]),
    rules: &[],
};
