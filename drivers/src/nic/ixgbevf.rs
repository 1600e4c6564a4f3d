//! Virtual functions of ixgbe. A frame must fit a receive buffer, the MTU is frozen while a program is
//! attached, and `XDP_REDIRECT` does not exist.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ixgbevf",
    aliases: &[],
    since: "4.17",
    source: "drivers/net/ethernet/intel/ixgbevf/ixgbevf_main.c: ixgbevf_xdp_setup",
    reports: Reports::always(&[X::BASIC]),
    rules: &[Rule::Mtu(3050, When::Always), Rule::Lacks(Feature::Redirect)],
};
