//! Marvell OcteonTX2 and CN10K. What is wrong stands in the kernel log only.

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "rvu-nicpf",
    aliases: &["rvu-nicvf", "rvu_nicpf", "rvu_nicvf"],
    since: "5.16",
    source: "drivers/net/ethernet/marvell/octeontx2/nic/otx2_pf.c: otx2_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT]).attached(&[X::NDO_XMIT]),
    rules: &[Rule::Mtu(1508, When::Always)],
};
