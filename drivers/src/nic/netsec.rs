//! Socionext SynQuacer: no jumbo frames with XDP.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "netsec",
    aliases: &[],
    since: "5.3",
    source: "drivers/net/ethernet/socionext/netsec.c: netsec_xdp_setup",
    rules: &[Rule::Mtu(1500, When::Always)],
};
