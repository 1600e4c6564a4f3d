//! Intel I210, I350, 82576 and relatives. A frame must fit a receive buffer.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "igb",
    aliases: &[],
    since: "5.10",
    source: "drivers/net/ethernet/intel/igb/igb_main.c: igb_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT]).attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::Mtu(3046, When::Always), Rule::Has(Feature::Metadata)],
};
