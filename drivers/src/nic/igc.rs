//! Intel I225 and I226: no jumbo frames with XDP.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "igc",
    aliases: &[],
    since: "5.13",
    source: "drivers/net/ethernet/intel/igc/igc_xdp.c: igc_xdp_set_prog",
    rules: &[Rule::Mtu(1500, When::Always), Rule::Has(Feature::Metadata)],
};
