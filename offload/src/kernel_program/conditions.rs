//! Conditions that hold for more than one hook, and words for what is attached.

use hoist_bpf::requirements::ContextField;

use crate::capability::{Answer, Condition, Severity, When};
use crate::device::{AttachedProgram, Device, Owner, Slot};
use crate::fact::Evidence;

const ARPHRD_ETHER: u16 = 1;
/// The loopback device: its frames have an Ethernet header too.
const ARPHRD_LOOPBACK: u16 = 772;

/// Whether frames have an Ethernet header, which every XDP program expects.
#[must_use]
pub fn ethernet(device: &Device) -> Condition {
    let ethernet = matches!(device.link_type, ARPHRD_ETHER | ARPHRD_LOOPBACK);
    Condition::new(
        "not-ethernet",
        if ethernet { Answer::Yes } else { Answer::No },
        match ethernet {
            true => format!("{} carries Ethernet frames", device.name),
            false => format!(
                "XDP programs expect Ethernet frames; {} has link type {}, without an Ethernet header",
                device.name, device.link_type
            ),
        },
        Evidence::kernel("RTM_GETLINK ifi_type"),
    )
}

/// veth keeps no receive queue in the socket buffer, so that `engine` reads what the sender's transmit
/// queue left there.
#[must_use]
pub fn queue_index(device: &Device, engine: &str) -> Option<Condition> {
    if device.driver_name() != "veth" {
        return None;
    }
    let single = device.rx_queues <= 1;
    Some(
        Condition::new(
            "rx-queue-index-differs",
            if single { Answer::Yes } else { Answer::No },
            format!(
                "{engine} on a veth reads the sender's transmit queue as rx_queue_index; {} has {} \
                 receive queues",
                device.name, device.rx_queues
            ),
            Evidence::driver("drivers/net/veth.c: veth_forward_skb records no receive queue"),
        )
        .when(When::Reads(ContextField::RxQueueIndex))
        .severity(Severity::Breaks)
        .remedy(format!("ethtool -L {} rx 1", device.name)),
    )
}

/// A held slot in words: program, owner, and for libxdp's dispatcher what runs inside.
#[must_use]
pub fn describe(there: &AttachedProgram) -> String {
    let name = there.name.as_deref().unwrap_or("without a name");
    let owner = match &there.owner {
        Owner::Hoist { pin } => format!("loaded by hoist, pinned at {pin}"),
        Owner::Link { id } => format!("held by link {id}"),
        Owner::Netlink => "attached over netlink".to_owned(),
        Owner::Libxdp => "libxdp's dispatcher".to_owned(),
        Owner::Unknown { why } => format!("owner unknown: {why}"),
    };
    let mut text = format!("program {} ({name}), {owner}", there.id);
    if !there.components.is_empty() {
        let inside: Vec<String> = there
            .components
            .iter()
            .map(|c| {
                let name = c.name.as_deref().unwrap_or("without a name");
                match c.priority {
                    Some(p) => format!("{name} (id {}, priority {p})", c.id),
                    None => format!("{name} (id {})", c.id),
                }
            })
            .collect();
        text += &format!(", which runs {}", inside.join(", "));
    }
    text
}

/// How to empty a held slot, or to take its place.
#[must_use]
pub fn way_out(there: &AttachedProgram, device: &Device) -> String {
    format!("{}, or replace it: --replace {}", way_off(there, device), there.id)
}

/// How to empty a held slot.
#[must_use]
pub fn way_off(there: &AttachedProgram, device: &Device) -> String {
    let dev = &device.name;
    match (&there.owner, iproute2(there.slot)) {
        (Owner::Hoist { .. }, _) => format!("hoist unload {dev}"),
        (Owner::Link { id }, _) => {
            format!("end the process that holds it, or: bpftool link detach id {id}")
        }
        (Owner::Libxdp, _) => format!("xdp-loader unload {dev} --all"),
        (Owner::Netlink | Owner::Unknown { .. }, Some(word)) => {
            format!("ip link set dev {dev} {word} off")
        }
        (Owner::Netlink | Owner::Unknown { .. }, None) => {
            format!("hoist unload {dev} --force {}", there.id)
        }
    }
}

/// iproute2's word for an XDP slot.
const fn iproute2(slot: Slot) -> Option<&'static str> {
    match slot {
        Slot::Hw => Some("xdpoffload"),
        Slot::Native => Some("xdpdrv"),
        Slot::Generic => Some("xdpgeneric"),
        Slot::TcxIngress
        | Slot::TcxEgress
        | Slot::ClsactIngress
        | Slot::ClsactEgress
        | Slot::HwClsact => None,
    }
}
