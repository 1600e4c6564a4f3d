//! KVM and other hypervisors. Receive offloads that the guest cannot switch off (no CTRL_GUEST_OFFLOADS)
//! exclude XDP; those it can are off while a program is attached. The channel count is frozen meanwhile.

use hoist_bpf::requirements::Feature;
use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "virtio_net",
    aliases: &[],
    since: "4.10",
    source: "drivers/net/virtio_net.c: virtnet_xdp_set",
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
