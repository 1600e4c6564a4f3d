//! Preconditions that concern the XDP hook whatever the driver: the slot, the other mode's slot,
//! the devices on top, the link type.

use crate::capability::{Answer, Condition, Severity};
use crate::device::{AttachedProgram, Device, Slot};
use crate::engine::EngineKind;
use crate::error::Error;
use crate::fact::Evidence;
use crate::host::Host;
use crate::kernel_program::conditions::{describe, ethernet, queue_index, way_off, way_out};
use crate::xdp::slot;

/// Every condition of an engine on a device.
pub(super) fn of(
    kind: EngineKind,
    host: &dyn Host,
    device: &Device,
) -> Result<Vec<Condition>, Error> {
    let mut conditions = vec![ethernet(device), own_slot(kind, device)];
    match kind {
        EngineKind::Native => {
            conditions.push(other_slot("generic-active", Slot::Generic, kind, device));
            conditions.push(native_support(device));
        }
        EngineKind::Generic => {
            conditions.push(other_slot("native-active", Slot::Native, kind, device));
            conditions.extend(queue_index(device, "generic XDP"));
        }
        EngineKind::Hw | EngineKind::Tc | EngineKind::User => {}
    }
    conditions.extend(upper(kind, host, device));
    Ok(conditions)
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
    .remedy(way_out(there, device))
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
        .remedy(way_off(there, device)),
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
