//! MediaTek. Not with hardware LRO, nor on systems on a chip whose receive path has no page pool.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mtk_soc_eth",
    aliases: &["mtk_eth_soc"],
    since: "6.0",
    source: "drivers/net/ethernet/mediatek/mtk_eth_soc.c: mtk_xdp_setup",
    reports: Reports::always(&[]).sometimes(
        &[X::BASIC, X::REDIRECT, X::NDO_XMIT, X::NDO_XMIT_SG],
        "hardware with page pools",
    ),
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(3520, When::Always)],
};
