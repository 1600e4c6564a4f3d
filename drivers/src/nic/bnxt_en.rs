//! Broadcom NetXtreme-C and -E. Channels must be combined, with transmit rings left for XDP; what is wrong
//! stands in the kernel log only.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "bnxt_en",
    aliases: &[],
    since: "4.11",
    source: "drivers/net/ethernet/broadcom/bnxt/bnxt_xdp.c: bnxt_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::RX_SG])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::Mtu(3502, When::WithoutFrags), Rule::CombinedChannels],
};
