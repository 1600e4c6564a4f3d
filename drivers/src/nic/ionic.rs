//! AMD Pensando. Interrupts must not be split between receive and transmit.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ionic",
    aliases: &[],
    since: "6.9",
    source: "drivers/net/ethernet/pensando/ionic/ionic_lif.c: ionic_xdp_config",
    rules: &[Rule::CombinedChannels, Rule::Mtu(3502, When::WithoutFrags)],
};
