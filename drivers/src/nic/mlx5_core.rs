//! Mellanox ConnectX-4 and later, BlueField.
//!
//! It reports no xdp-features at all while LRO or hardware GRO is on, and says why a program is refused in
//! the kernel log only. Programs can be swapped without a reset of the queues.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mlx5_core",
    aliases: &[],
    since: "4.9",
    source: "drivers/net/ethernet/mellanox/mlx5/core/en_main.c: mlx5e_xdp_allowed",
    reports: Reports::always(&[
        X::BASIC,
        X::REDIRECT,
        X::XSK_ZEROCOPY,
        X::RX_SG,
        X::NDO_XMIT,
        X::NDO_XMIT_SG,
    ])
    .sometimes(&[], "none while LRO or hardware GRO is on"),
    rules: &[
        Rule::Unmerged("rx-lro"),
        Rule::Unmerged("rx-gro-hw"),
        Rule::Mtu(3498, When::WithoutFrags),
        Rule::Has(Feature::Metadata),
    ],
};
