//! Intel 700 series. Switching XDP on or off resets the function; swapping programs does not. With the
//! private flag `legacy-rx` the limit is about 1702 bytes.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "i40e",
    aliases: &[],
    since: "4.13",
    source: "drivers/net/ethernet/intel/i40e/i40e_main.c: i40e_xdp_setup",
    rules: &[Rule::Mtu(3046, When::WithoutFrags), Rule::Has(Feature::Metadata)],
};
