//! What must be so of a device for its NIC to take a program, before the program is looked at.

use hoist_offload::capability::{Answer, Condition};
use hoist_offload::device::{AttachedProgram, Slot, XdpFeatures};
use hoist_offload::kernel_program::conditions::{describe, ethernet, way_off, way_out};
use hoist_offload::{Adjustment, Device, Error, Evidence, Host};

/// The ethtool feature that lets the driver see filters.
pub(super) const TC_OFFLOAD: &str = "hw-tc-offload";

/// Every condition of a slot on a device that may have a NIC for it.
pub(super) fn of(slot: Slot, host: &dyn Host, device: &Device) -> Result<Vec<Condition>, Error> {
    let mut conditions = vec![ethernet(device), own_slot(slot, device), other_slot(slot, device)];
    if slot == Slot::HwClsact {
        conditions.push(tc_offload(device));
    } else {
        conditions.extend(upper(host, device)?);
    }
    Ok(conditions)
}

/// Whether the device has a NIC that runs BPF at all. Every plan for every other NIC shows this, so it
/// is short.
pub(super) fn offloads(device: &Device) -> Condition {
    const CODE: &str = "no-offload";
    let driver = device.driver_name();
    let who = match driver {
        "" => device.name.clone(),
        driver => format!("{} ({driver})", device.name),
    };
    let tried = device.offload.get("xdp");
    if let Some(tried) = tried.filter(|tried| tried.answer != Answer::Unknown) {
        let message = match tried.answer {
            Answer::Yes => format!("{who} takes BPF programs"),
            _ => format!("{who} takes no BPF programs: {}", tried.evidence.detail),
        };
        return Condition::new(CODE, tried.answer, message, tried.evidence.clone());
    }
    let (holds, message, evidence) = match device.xdp.value() {
        Some(info) if info.features.contains(XdpFeatures::HW_OFFLOAD) => (
            Answer::Yes,
            format!("{who} says that it takes BPF programs"),
            Evidence::kernel("netdev xdp-features: hw-offload"),
        ),
        Some(_) => (
            Answer::No,
            format!("{who} takes no BPF programs"),
            Evidence::kernel("netdev xdp-features: no hw-offload"),
        ),
        // Before Linux 6.3 nobody says.
        None if TAKE_PROGRAMS.contains(&driver) => (
            Answer::Unknown,
            format!("not known whether {who} takes BPF programs; loading will tell"),
            Evidence::driver("bpf_offload_dev_create"),
        ),
        None => (
            Answer::No,
            format!("{who} takes no BPF programs"),
            Evidence::driver("bpf_offload_dev_create: nfp and netdevsim alone call it"),
        ),
    };
    Condition::new(CODE, holds, message, evidence)
}

/// The drivers of the kernel that call `bpf_offload_dev_create`.
const TAKE_PROGRAMS: [&str; 2] = ["nfp", "netdevsim"];

fn own_slot(slot: Slot, device: &Device) -> Condition {
    let (dev, name) = (&device.name, slot.name());
    let evidence = Evidence::kernel(match slot {
        Slot::Hw => "IFLA_XDP",
        _ => "RTM_GETTFILTER",
    });
    match device.slot(slot).next() {
        None => {
            let message = format!("the {name} slot of {dev} is free");
            Condition::new("slot-held", Answer::Yes, message, evidence)
        }
        Some(there) => {
            let message = format!("the {name} slot of {dev} holds {}", describe(there));
            Condition::new("slot-held", Answer::No, message, evidence)
                .remedy(way_out(there, device))
        }
    }
}

/// A NIC runs XDP or a classifier, not both (`nsim_bpf_setup_tc_block_cb`, `nfp_bpf_xdp_offload`).
fn other_slot(slot: Slot, device: &Device) -> Condition {
    let other = if slot == Slot::Hw { Slot::HwClsact } else { Slot::Hw };
    let evidence = Evidence::driver("nfp_app_bpf: one program for each port");
    match device.slot(other).next() {
        None => {
            let message = format!("no program excludes this one in the NIC of {}", device.name);
            Condition::new("nic-busy", Answer::Yes, message, evidence)
        }
        Some(there) => {
            let message = format!(
                "XDP and classifiers exclude each other in a NIC, and the {} slot of {} holds {}",
                other.name(),
                device.name,
                describe(there)
            );
            Condition::new("nic-busy", Answer::No, message, evidence).remedy(way_off(there, device))
        }
    }
}

fn tc_offload(device: &Device) -> Condition {
    let on = device.feature(TC_OFFLOAD);
    let holds = on.map_or(Answer::Unknown, |on| if on { Answer::Yes } else { Answer::No });
    let state = match on {
        Some(true) => "on",
        Some(false) => "off",
        None => "not known",
    };
    Condition::new(
        "tc-offload-off",
        holds,
        format!("filters reach the NIC of {} where {TC_OFFLOAD} is on; it is {state}", device.name),
        Evidence::kernel("tc_can_offload (include/net/pkt_cls.h)"),
    )
    .remedy(format!("ethtool -K {} {TC_OFFLOAD} on", device.name))
    .adjustments(vec![Adjustment { feature: TC_OFFLOAD.to_owned(), on: true }])
}

/// A program on any device on top excludes this one (`dev_xdp_attach`).
fn upper(host: &dyn Host, device: &Device) -> Result<Vec<Condition>, Error> {
    let mut names: Vec<&String> = device.upper.iter().chain(&device.master).collect();
    names.sort();
    names.dedup();
    let mut conditions = Vec::new();
    for name in names {
        let on_top = host.device(name)?;
        let xdp = |a: &&AttachedProgram| a.slot.mode().is_some();
        let Some(there) = on_top.attached.iter().find(xdp) else { continue };
        let message =
            format!("{name}, on top of {}, has an XDP program: {}", device.name, describe(there));
        let evidence =
            Evidence::kernel(format!("IFLA_XDP of {name}; dev_xdp_attach (net/core/dev.c)"));
        conditions.push(
            Condition::new("upper-device-has-program", Answer::No, message, evidence)
                .remedy(format!("detach its program: ip link set dev {name} xdp off")),
        );
    }
    Ok(conditions)
}
