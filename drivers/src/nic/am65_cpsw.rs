//! Texas Instruments K3 CPSW.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "am65-cpsw-nuss",
    aliases: &["am65-cpsw"],
    since: "6.10",
    source: "drivers/net/ethernet/ti/am65-cpsw-nuss.c: am65_cpsw_xdp_prog_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[],
};
