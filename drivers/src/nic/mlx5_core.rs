//! Mellanox ConnectX-4 and later, BlueField.
//!
//! It reports no xdp-features at all while LRO or hardware GRO is on, and says why a program is refused in
//! the kernel log only. Programs can be swapped without a reset of the queues.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mlx5_core",
    aliases: &[],
    since: "4.9",
    source: "drivers/net/ethernet/mellanox/mlx5/core/en_main.c: mlx5e_xdp_allowed",
    rules: &[
        Rule::Unmerged("rx-lro"),
        Rule::Unmerged("rx-gro-hw"),
        Rule::Mtu(3498, When::WithoutFrags),
        Rule::Has(Feature::Metadata),
    ],
};
