//! Mellanox ConnectX-3. It is no target for redirected frames, gives transmit rings to XDP, and explains
//! itself in the kernel log only.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "mlx4_en",
    aliases: &["mlx4_core"],
    since: "4.8",
    source: "drivers/net/ethernet/mellanox/mlx4/en_netdev.c: mlx4_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT]),
    rules: &[Rule::Mtu(3498, When::Always)],
};
