//! Texas Instruments K3 CPSW.

use crate::rules::Nic;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "am65-cpsw-nuss",
    aliases: &["am65-cpsw"],
    since: "6.10",
    source: "drivers/net/ethernet/ti/am65-cpsw-nuss.c: am65_cpsw_xdp_prog_setup",
    rules: &[],
};
