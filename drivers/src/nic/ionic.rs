//! AMD Pensando. Interrupts must not be split between receive and transmit.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ionic",
    aliases: &[],
    since: "6.9",
    source: "drivers/net/ethernet/pensando/ionic/ionic_lif.c: ionic_xdp_config",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::RX_SG, X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::CombinedChannels, Rule::Mtu(3502, When::WithoutFrags)],
};
