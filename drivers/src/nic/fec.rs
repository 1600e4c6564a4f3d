//! Freescale FEC of i.MX. Systems on a chip that swap bytes in frames (i.MX28) have no native XDP.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fec",
    aliases: &["fec ptp"],
    since: "6.2",
    source: "drivers/net/ethernet/freescale/fec_main.c: fec_enet_bpf",
    reports: Reports::always(&[X::BASIC])
        .attached(&[X::NDO_XMIT])
        .sometimes(&[X::REDIRECT], "not on SoCs that swap frames"),
    rules: &[],
};
