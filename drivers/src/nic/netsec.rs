//! Socionext SynQuacer: no jumbo frames with XDP.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "netsec",
    aliases: &[],
    since: "5.3",
    source: "drivers/net/ethernet/socionext/netsec.c: netsec_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[Rule::Mtu(1500, When::Always)],
};
