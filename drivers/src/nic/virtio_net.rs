//! KVM and other hypervisors. Receive offloads that the guest cannot switch off (no CTRL_GUEST_OFFLOADS)
//! exclude XDP; those it can are off while a program is attached. The channel count is frozen meanwhile.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;

use crate::rules::{Nic, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "virtio_net",
    aliases: &[],
    since: "4.10",
    source: "drivers/net/virtio_net.c: virtnet_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT])
        .attached(&[X::NDO_XMIT, X::NDO_XMIT_SG])
        .sometimes(&[X::RX_SG], "mergeable receive buffers (VIRTIO_NET_F_MRG_RXBUF)"),
    rules: &[
        Rule::Mtu(3506, When::WithoutFrags),
        Rule::Releasable("rx-gro-hw"),
        Rule::Note(
            "half-checksum-dropped",
            "frames that arrive with an unfinished checksum (sent by this host or its guests) are \
             dropped while a native program is attached",
            When::Always,
        ),
        Rule::Has(Feature::Metadata),
    ],
};
