//! Hyper-V. A program attached here reaches the virtual function below it by itself: never attach to the
//! virtual function.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "hv_netvsc",
    aliases: &[],
    since: "5.6",
    source: "drivers/net/hyperv/netvsc_bpf.c: netvsc_xdp_set",
    rules: &[Rule::Unmerged("rx-lro"), Rule::Mtu(3506, When::Always)],
};
