//! Synopsys DesignWare: no jumbo frames with XDP.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "stmmac",
    aliases: &["st_gmac", "st_mac100", "dwmac-intel"],
    since: "5.13",
    source: "drivers/net/ethernet/stmicro/stmmac/stmmac_xdp.c: stmmac_xdp_set_prog",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY]).attached(&[X::NDO_XMIT]),
    rules: &[Rule::Mtu(1500, When::Always)],
};
