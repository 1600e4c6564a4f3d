//! MediaTek. Not with hardware LRO, nor on systems on a chip whose receive path has no page pool.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mtk_soc_eth",
    aliases: &["mtk_eth_soc"],
    since: "6.0",
    source: "drivers/net/ethernet/mediatek/mtk_eth_soc.c: mtk_xdp_setup",
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(3520, When::Always)],
};
