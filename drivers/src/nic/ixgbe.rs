//! Intel 82599, X540, X550. It refuses with a bare `EINVAL` while SR-IOV, DCB or RSC (its LRO) is on, or
//! when a frame does not fit a receive buffer; and with `ENOMEM` on more than 128 CPUs.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "ixgbe",
    aliases: &[],
    since: "4.12",
    source: "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c: ixgbe_xdp_setup",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::XSK_ZEROCOPY])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG]),
    rules: &[
        Rule::Unmerged("rx-lro"),
        Rule::Mtu(3050, When::Always),
        Rule::Untold(
            "sriov-on",
            "SR-IOV must be off for native XDP",
            "echo 0 > /sys/class/net/{dev}/device/sriov_numvfs",
        ),
        Rule::Untold("dcb-on", "DCB must be off for native XDP", "dcbtool sc {dev} dcb off"),
        Rule::Has(Feature::Metadata),
    ],
};
