//! Intel 700 series. Switching XDP on or off resets the function; swapping programs does not. With the
//! private flag `legacy-rx` the limit is about 1702 bytes.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "i40e",
    aliases: &[],
    since: "4.13",
    source: "drivers/net/ethernet/intel/i40e/i40e_main.c: i40e_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY, X::RX_SG])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::Mtu(3046, When::WithoutFrags), Rule::Has(Feature::Metadata)],
};
