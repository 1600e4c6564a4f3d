//! Texas Instruments CPSW, both drivers.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "cpsw",
    aliases: &["cpsw-switch"],
    since: "5.3",
    source: "drivers/net/ethernet/ti/cpsw_priv.c: cpsw_ndo_bpf",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT]),
    rules: &[],
};
