//! Texas Instruments CPSW, both drivers.

use crate::rules::Nic;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "cpsw",
    aliases: &["cpsw-switch"],
    since: "5.3",
    source: "drivers/net/ethernet/ti/cpsw_priv.c: cpsw_ndo_bpf",
    rules: &[],
};
