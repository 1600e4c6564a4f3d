//! Fungible Ethernet: a frame must fit one receive buffer.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "funeth",
    aliases: &[],
    since: "5.18",
    source: "drivers/net/ethernet/fungible/funeth/funeth_main.c: fun_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT]).attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[Rule::Untold(
        "mtu-too-large",
        "a frame must fit one receive buffer",
        "ip link set dev {dev} mtu 1500",
    )],
};
