//! Intel I210, I350, 82576 and relatives. A frame must fit a receive buffer.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "igb",
    aliases: &[],
    since: "5.10",
    source: "drivers/net/ethernet/intel/igb/igb_main.c: igb_xdp_setup",
    rules: &[Rule::Mtu(3046, When::Always), Rule::Has(Feature::Metadata)],
};
