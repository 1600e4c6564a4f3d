//! Preconditions of TC ingress on a device: the hook, who else is there, and what the device does to
//! frames before they come.

use hoist_bpf::requirements::Feature;
use hoist_offload::Device;
use hoist_offload::capability::{Adjustment, Answer, Condition, Severity, When};
use hoist_offload::device::{Owner, Slot};
use hoist_offload::fact::Evidence;
use hoist_offload::host::HostReport;
use hoist_offload::kernel_program::conditions::{describe, ethernet, queue_index, way_out};

/// What merges frames before TC: the kernel's name and the word of ethtool(8).
const MERGING: [(&str, &str); 3] =
    [("rx-gro", "gro"), ("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// What takes VLAN tags out of frames in the NIC.
const STRIPPING: [(&str, &str); 2] =
    [("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];

/// Every condition of the engine on a device.
pub(super) fn of(slot: Slot, device: &Device, report: Option<&HostReport>) -> Vec<Condition> {
    let mut conditions = vec![ethernet(device)];
    conditions.extend((slot == Slot::TcxIngress).then(|| tcx(report)));
    conditions.push(own_slot(slot, device));
    conditions.push(merged(device));
    conditions.extend(merged_by_peer(device));
    conditions.extend(stripped(device));
    conditions.extend(queue_index(device, "TC"));
    conditions.push(preemption(report));
    conditions.extend(earlier(slot, device));
    conditions.extend(seen_by_others());
    conditions
}

fn tcx(report: Option<&HostReport>) -> Condition {
    let finding = report.and_then(|report| report.features.get("tcx"));
    let (holds, evidence) = match finding {
        Some(finding) => (finding.answer, finding.evidence.clone()),
        None => (Answer::Unknown, Evidence::assumed("nobody asked yet")),
    };
    let message = match holds {
        Answer::Yes => "the kernel has tcx",
        Answer::No => "the kernel has no tcx, which came with Linux 6.6",
        Answer::Unknown => "not known whether the kernel has tcx",
    };
    Condition::new("no-tcx", holds, message, evidence).remedy("use --engine clsact")
}

/// Programs of others share the hook; a second one of hoist's would take over the first one's pins.
fn own_slot(slot: Slot, device: &Device) -> Condition {
    let evidence = || Evidence::kernel("BPF_PROG_QUERY, RTM_GETTFILTER and hoist's pins");
    let ours = device.slot(slot).find(|there| matches!(there.owner, Owner::Hoist { .. }));
    match ours {
        None => {
            let what =
                format!("no program that hoist left is at {} of {}", slot.name(), device.name);
            Condition::new("slot-held", Answer::Yes, what, evidence())
        }
        Some(there) => {
            let what = format!("{} of {} holds {}", slot.name(), device.name, describe(there));
            Condition::new("slot-held", Answer::No, what, evidence()).remedy(way_out(there, device))
        }
    }
}

/// The features of a list that are on, with the settings and the command that turn them off.
fn on(device: &Device, features: &[(&str, &str)]) -> (Vec<Adjustment>, String) {
    let on: Vec<_> =
        features.iter().filter(|(name, _)| device.feature(name) == Some(true)).collect();
    let adjustments = on.iter().map(|(name, _)| off(name)).collect();
    let words: Vec<String> = on.iter().map(|(_, word)| format!("{word} off")).collect();
    (adjustments, format!("ethtool -K {} {}", device.name, words.join(" ")))
}

fn off(feature: &str) -> Adjustment {
    Adjustment { feature: feature.to_owned(), on: false }
}

/// Whether every feature that is to be turned off can be.
fn changeable(device: &Device, adjustments: &[Adjustment]) -> bool {
    let toggle = |name: &str| device.features.value().and_then(|features| features.get(name));
    adjustments.iter().all(|a| toggle(&a.feature).is_some_and(|toggle| toggle.changeable))
}

fn merged(device: &Device) -> Condition {
    let evidence = Evidence::kernel("ETHTOOL_GFEATURES; dev_gro_receive (net/core/gro.c)");
    let (adjustments, command) = on(device, &MERGING);
    let names: Vec<&str> = adjustments.iter().map(|a| a.feature.as_str()).collect();
    let (holds, message) = match (device.features.value(), names.as_slice()) {
        (None, _) => (
            Answer::Unknown,
            format!("not known whether {} merges frames before TC sees them", device.name),
        ),
        (_, []) => (Answer::Yes, format!("{} merges no frames", device.name)),
        (_, names) => (
            Answer::No,
            format!(
                "{} merges frames before TC sees them ({}), which native XDP never sees",
                device.name,
                names.join(", ")
            ),
        ),
    };
    let condition =
        Condition::new("merged-packets", holds, message, evidence).severity(Severity::Breaks);
    match holds {
        Answer::No if changeable(device, &adjustments) => {
            condition.remedy(command).adjustments(adjustments)
        }
        Answer::No => condition.remedy(command),
        // Should these be off for another program's sake, they are to stay so for this one's.
        Answer::Yes => condition.adjustments(MERGING.map(|(name, _)| off(name)).to_vec()),
        Answer::Unknown => condition,
    }
}

/// Over a veth, what a sender would leave to its NIC comes whole.
fn merged_by_peer(device: &Device) -> Option<Condition> {
    let peer = device.peer.as_ref()?;
    let info = peer.info.value()?;
    let segments = info.segmentation?;
    let message = match segments {
        false => format!("{} leaves no segmentation to the device", info.name),
        true => format!(
            "{}, the other end of {}, hands over frames of local senders unsegmented (TSO, UDP GSO), \
             which native XDP never sees",
            info.name, device.name
        ),
    };
    let place = match &peer.netns {
        None => String::new(),
        Some(netns) => format!(" (in network namespace {netns})"),
    };
    let condition = Condition::new(
        "merged-packets",
        if segments { Answer::No } else { Answer::Yes },
        message,
        Evidence::kernel("ETHTOOL_GTSO of the peer; veth_xmit (drivers/net/veth.c)"),
    );
    let condition = condition.severity(Severity::Warns);
    Some(if segments {
        condition.remedy(format!("ethtool -K {} tso off gso off{place}", info.name))
    } else {
        condition
    })
}

/// The tag that a NIC takes out is lost to native XDP, and put back at TC. A veth strips nothing.
fn stripped(device: &Device) -> Option<Condition> {
    if device.peer.is_some() {
        return None;
    }
    let (adjustments, command) = on(device, &STRIPPING);
    if adjustments.is_empty() {
        return None;
    }
    let what = format!(
        "{} takes VLAN tags out of frames, so that native XDP does not see them; at TC they are put \
         back",
        device.name
    );
    let evidence = Evidence::kernel("ETHTOOL_GFEATURES; skb->vlan_tci");
    let condition = Condition::new("vlan-stripped", Answer::No, what, evidence)
        .severity(Severity::Warns)
        .remedy(command);
    let can = changeable(device, &adjustments);
    Some(if can { condition.adjustments(adjustments) } else { condition })
}

/// What the runtime keeps for a redirect is kept for each CPU.
fn preemption(report: Option<&HostReport>) -> Condition {
    let version = report.map(|report| (report.version.as_str(), report.kernel.as_str()));
    let realtime = version.map(|(version, release)| {
        version.contains("PREEMPT_RT") || release.split(['-', '+', '.']).any(|word| word == "rt")
    });
    let (holds, message) = match realtime {
        Some(true) => (
            Answer::No,
            "a PREEMPT_RT kernel may run another frame's program between a redirect's call and its end",
        ),
        _ => (Answer::Yes, "the kernel does not preempt programs on socket buffers"),
    };
    let evidence = Evidence::kernel("uname -v");
    Condition::new("redirect-preempt-rt", holds, message, evidence)
        .when(When::Uses(Feature::Redirect))
        .severity(Severity::Refuses)
        .remedy("use --engine native,generic")
}

/// Programs that get frames before this one, and may keep them.
fn earlier(slot: Slot, device: &Device) -> Vec<Condition> {
    let hooks: &[Slot] = match slot {
        Slot::ClsactIngress => {
            &[Slot::Hw, Slot::HwClsact, Slot::Native, Slot::Generic, Slot::TcxIngress]
        }
        _ => &[Slot::Hw, Slot::HwClsact, Slot::Native, Slot::Generic],
    };
    let there = hooks.iter().flat_map(|&slot| device.slot(slot));
    there
        .map(|program| {
            let what = format!(
                "frames come through the {} slot of {} first, which holds {}: what that drops, sends \
                 back or redirects does not come to TC",
                program.slot.name(),
                device.name,
                describe(program)
            );
            let evidence = Evidence::kernel("__netif_receive_skb_core (net/core/dev.c)");
            Condition::new("runs-after", Answer::No, what, evidence).severity(Severity::Warns)
        })
        .collect()
}

/// What others see of frames that a program at TC drops or sends.
fn seen_by_others() -> [Condition; 3] {
    let condition = |code: &str, message: &str, place: &str| {
        Condition::new(code, Answer::No, message, Evidence::kernel(place)).severity(Severity::Warns)
    };
    let sends = "what the program sends goes through the queueing discipline, TC egress and packet \
                 captures, which XDP passes by";
    let out = "__bpf_tx_skb (net/core/filter.c)";
    [
        condition(
            "taps-see-input",
            "packet captures show frames as they came in, dropped ones included",
            "__netif_receive_skb_core (net/core/dev.c)",
        ),
        condition("tx-through-qdisc", sends, out).when(When::Uses(Feature::Tx)),
        condition(
            "tail-floor",
            "frames of local senders and merged frames cannot be cut into their transport header",
            "__bpf_skb_min_len (net/core/filter.c)",
        )
        .when(When::Uses(Feature::AdjustTail)),
    ]
}
