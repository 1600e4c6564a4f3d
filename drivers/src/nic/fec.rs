//! Freescale FEC of i.MX. Systems on a chip that swap bytes in frames (i.MX28) have no native XDP.

use crate::rules::Nic;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "fec",
    aliases: &["fec ptp"],
    since: "6.2",
    source: "drivers/net/ethernet/freescale/fec_main.c: fec_enet_bpf",
    rules: &[],
};
