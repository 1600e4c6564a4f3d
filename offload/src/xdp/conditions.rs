//! Preconditions that concern the XDP hook whatever the driver: the slot, the other mode's slot,
//! the devices on top, the link type.

use crate::capability::{Answer, Condition, Severity, When};
use crate::device::{AttachedProgram, Device, Owner, Slot};
use crate::engine::EngineKind;
use crate::error::Error;
use crate::fact::Evidence;
use crate::host::Host;
use crate::xdp::slot;

const ARPHRD_ETHER: u16 = 1;
/// The loopback device: its frames have an Ethernet header too.
const ARPHRD_LOOPBACK: u16 = 772;

/// Every condition of an engine on a device.
pub(super) fn of(
    kind: EngineKind,
    host: &dyn Host,
    device: &Device,
) -> Result<Vec<Condition>, Error> {
    let mut conditions = vec![link_type(device), own_slot(kind, device)];
    match kind {
        EngineKind::Native => {
            conditions.push(other_slot("generic-active", Slot::Generic, kind, device));
            conditions.push(native_support(device));
        }
        EngineKind::Generic => {
            conditions.push(other_slot("native-active", Slot::Native, kind, device));
            conditions.extend(queue_index(device));
        }
        EngineKind::Hw | EngineKind::Tc | EngineKind::User => {}
    }
    conditions.extend(upper(kind, host, device));
    Ok(conditions)
}

fn link_type(device: &Device) -> Condition {
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

fn own_slot(kind: EngineKind, device: &Device) -> Condition {
    let slot = slot(kind);
    let evidence = Evidence::kernel("IFLA_XDP");
    let Some(there) = device.slot(slot).next() else {
        let message = format!("the {kind} XDP slot of {} is free", device.name);
        // Anybody may read the XDP slots: what `attached_unknown` tells of are the TC hooks.
        return Condition::new("slot-held", Answer::Yes, message, evidence);
    };
    Condition::new(
        "slot-held",
        Answer::No,
        format!("the {kind} XDP slot of {} holds {}", device.name, describe(there)),
        evidence,
    )
    .remedy(way_out(there, kind, device))
}

fn other_slot(code: &str, slot: Slot, kind: EngineKind, device: &Device) -> Condition {
    let evidence = Evidence::kernel("IFLA_XDP; dev_xdp_attach (net/core/dev.c)");
    let other = if slot == Slot::Native { EngineKind::Native } else { EngineKind::Generic };
    match device.slot(slot).next() {
        None => Condition::new(
            code,
            Answer::Yes,
            format!("no {other} XDP program excludes {kind} on {}", device.name),
            evidence,
        ),
        Some(there) => Condition::new(
            code,
            Answer::No,
            format!(
                "native and generic XDP exclude each other, and {}'s {other} slot holds {}",
                device.name,
                describe(there)
            ),
            evidence,
        )
        .remedy(way_off(there, other, device)),
    }
}

/// What netdev's xdp-features say of native support: a hint that the driver's own file refines.
fn native_support(device: &Device) -> Condition {
    let (holds, message) = match device.xdp.value() {
        Some(info) if info.features.contains(crate::device::XdpFeatures::BASIC) => {
            (Answer::Yes, format!("{} reports native XDP", device.name))
        }
        Some(_) => (
            Answer::No,
            format!("{} ({}) reports no native XDP", device.name, device.driver_name()),
        ),
        None => (
            Answer::Unknown,
            format!("not known whether {} has native XDP; attaching will tell", device.name),
        ),
    };
    Condition::new("no-native-support", holds, message, Evidence::kernel("netdev xdp-features"))
        .remedy("use --engine generic")
}

/// veth keeps no receive queue in the socket buffer, so that generic XDP reads what the sender's
/// transmit queue left there.
fn queue_index(device: &Device) -> Option<Condition> {
    if device.driver_name() != "veth" {
        return None;
    }
    let single = device.rx_queues <= 1;
    Some(
        Condition::new(
            "rx-queue-index-differs",
            if single { Answer::Yes } else { Answer::No },
            format!(
                "generic XDP on a veth reads the sender's transmit queue as rx_queue_index; {} has {} \
                 receive queues",
                device.name, device.rx_queues
            ),
            Evidence::driver("drivers/net/veth.c: veth_forward_skb records no receive queue"),
        )
        .when(When::Reads(hoist_bpf::requirements::ContextField::RxQueueIndex))
        .severity(Severity::Breaks)
        .remedy(format!("ethtool -L {} rx 1", device.name)),
    )
}

/// A program on any device on top (bond, bridge, vlan) excludes this one, whatever their modes.
fn upper(kind: EngineKind, host: &dyn Host, device: &Device) -> Vec<Condition> {
    let mut names: Vec<&String> = device.upper.iter().chain(&device.master).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let evidence =
                Evidence::kernel(format!("IFLA_XDP of {name}; dev_xdp_attach (net/core/dev.c)"));
            let code = "upper-device-has-program";
            match host.device(name) {
                Err(error) => Condition::new(
                    code,
                    Answer::Unknown,
                    format!("not known whether {name}, on top of {}, has a program: {error}", device.name),
                    evidence,
                ),
                Ok(upper) => {
                    let xdp = |a: &&AttachedProgram| {
                        matches!(a.slot, Slot::Hw | Slot::Native | Slot::Generic)
                    };
                    match upper.attached.iter().find(xdp) {
                        None => Condition::new(
                            code,
                            Answer::Yes,
                            format!("{name}, on top of {}, has no XDP program", device.name),
                            evidence,
                        ),
                        Some(there) => Condition::new(
                            code,
                            Answer::No,
                            format!(
                                "{name}, on top of {}, has an XDP program: {}",
                                device.name,
                                describe(there)
                            ),
                            evidence,
                        )
                        .remedy(format!(
                            "attach to {name}, or detach its program: ip link set dev {name} xdp off"
                        )),
                    }
                }
            }
        })
        .map(|c| if kind == EngineKind::User { c.severity(Severity::Warns) } else { c })
        .collect()
}

/// A held slot in words: program, owner, and for libxdp's dispatcher what runs inside.
fn describe(there: &AttachedProgram) -> String {
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

fn way_out(there: &AttachedProgram, kind: EngineKind, device: &Device) -> String {
    format!("{}, or replace it: --replace {}", way_off(there, kind, device), there.id)
}

fn way_off(there: &AttachedProgram, kind: EngineKind, device: &Device) -> String {
    let dev = &device.name;
    match &there.owner {
        Owner::Hoist { .. } => format!("hoist unload {dev}"),
        Owner::Link { id } => {
            format!("end the process that holds it, or: bpftool link detach id {id}")
        }
        Owner::Libxdp => format!("xdp-loader unload {dev} --all"),
        Owner::Netlink | Owner::Unknown { .. } => {
            format!("ip link set dev {dev} {} off", iproute2(kind))
        }
    }
}

/// iproute2's word for a mode.
const fn iproute2(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Hw => "xdpoffload",
        EngineKind::Native => "xdpdrv",
        EngineKind::Generic | EngineKind::Tc | EngineKind::User => "xdpgeneric",
    }
}
