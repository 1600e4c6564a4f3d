//! Intel I225 and I226: no jumbo frames with XDP.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "igc",
    aliases: &[],
    since: "5.13",
    source: "drivers/net/ethernet/intel/igc/igc_xdp.c: igc_xdp_set_prog",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::Mtu(1500, When::Always), Rule::Has(Feature::Metadata)],
};
