//! What the XDP hook can do on a device, and how that is known.

use hoist_bpf::names;
use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need};

use crate::capability::{Answer, Capabilities, Condition, Severity};
use crate::device::{Device, XdpFeatures};
use crate::engine::EngineKind;
use crate::error::Error;
use crate::fact::Evidence;
use crate::host::report::Finding;
use crate::host::{Host, HostReport};
use crate::xdp::conditions;

/// Instructions the verifier takes from a privileged user (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_INSTRUCTIONS: u64 = 1_000_000;
/// `MAX_BPF_STACK`, for all frames of a call chain together.
const MAX_STACK_BYTES: u64 = 512;
/// `MAX_CALL_FRAMES`.
const MAX_CALL_DEPTH: u64 = 8;

/// What every kernel that hoist supports does in every mode.
const ALWAYS: &[Feature] = &[
    Feature::Tx,
    Feature::AdjustHead,
    Feature::AdjustTail,
    Feature::Frags,
    Feature::PacketWrite,
    Feature::TailCall,
    Feature::BpfToBpfCall,
    Feature::Callback,
    Feature::GlobalData,
    Feature::AtomicAdd,
    Feature::AtomicFull,
    Feature::Loop,
    Feature::MapValueWrite,
    Feature::GplOnlyHelper,
    Feature::ProgramBtf,
];

/// Map flags that every kernel since 6.1 knows: `BPF_F_NO_PREALLOC` to `BPF_F_INNER_MAP`.
const OLD_MAP_FLAGS: std::ops::RangeInclusive<u32> = 0..=12;

/// The engine's answers and conditions, without what the driver's file knows.
pub(super) fn of(
    kind: EngineKind,
    host: &dyn Host,
    device: &Device,
) -> Result<Capabilities, Error> {
    let mut known = Capabilities::new(kind, "kernel");
    supported_kernels(&mut known);
    match kind {
        EngineKind::Native => native(&mut known, device),
        _ => generic(&mut known),
    }
    if let Some(report) = host.known()? {
        reported(&mut known, report);
    }
    known.conditions.extend(conditions::of(kind, host, device)?);
    Ok(known)
}

fn supported_kernels(known: &mut Capabilities) {
    let assumed = || Evidence::assumed("every kernel since 6.1");
    for &feature in ALWAYS {
        known.set(Need::Feature(feature), Answer::Yes, assumed());
    }
    for field in [
        ContextField::Data,
        ContextField::DataEnd,
        ContextField::DataMeta,
        ContextField::IngressIfindex,
        ContextField::RxQueueIndex,
    ] {
        known.set(Need::ContextField(field), Answer::Yes, assumed());
    }
    for version in 1..=3 {
        known.set(Need::Isa(version), Answer::Yes, assumed());
    }
    for bit in OLD_MAP_FLAGS {
        known.set(Need::MapFlag(1 << bit), Answer::Yes, assumed());
    }
    let verifier = || Evidence::kernel("kernel/bpf/verifier.c");
    for (kind, most) in [
        (LimitKind::Instructions, MAX_INSTRUCTIONS),
        (LimitKind::StackBytes, MAX_STACK_BYTES),
        (LimitKind::CallDepth, MAX_CALL_DEPTH),
    ] {
        known.set(Need::Limit(kind, most), Answer::Yes, verifier());
    }
    let interface_only = || Evidence::kernel("dev_xdp_install (net/core/dev.c)");
    for need in [
        Need::Feature(Feature::DevmapProgram),
        Need::Feature(Feature::CpumapProgram),
        Need::ContextField(ContextField::EgressIfindex),
    ] {
        known.set(need, Answer::No, interface_only());
    }
}

fn native(known: &mut Capabilities, device: &Device) {
    let Some(info) = device.xdp.value() else { return };
    let has = |feature| if info.features.contains(feature) { Answer::Yes } else { Answer::No };
    // A device that reports nothing at all may do so because of its present settings; then the
    // condition `no-native-support` speaks, not one feature after the other.
    if info.features.contains(XdpFeatures::BASIC) {
        known.set(
            Need::Feature(Feature::Redirect),
            has(XdpFeatures::REDIRECT),
            Evidence::kernel(format!("netdev xdp-features {:#x}", info.features.bits())),
        );
    }
    known.set(
        Need::Feature(Feature::DeviceBound),
        Answer::Yes,
        Evidence::assumed("the netdev family that reported xdp-features came with it (6.3)"),
    );
}

fn generic(known: &mut Capabilities) {
    let core = || Evidence::kernel("bpf_prog_run_generic_xdp (net/core/dev.c)");
    for feature in [Feature::Redirect, Feature::Metadata] {
        known.set(Need::Feature(feature), Answer::Yes, core());
    }
    known.set(
        Need::Feature(Feature::DeviceBound),
        Answer::No,
        Evidence::kernel("dev_xdp_attach: \"Can't attach device-bound programs in generic mode\""),
    );
}

/// Answers from trial loads, where they were made.
fn reported(known: &mut Capabilities, report: &HostReport) {
    let mut take = |need: Need, finding: &Finding| {
        if finding.answer != Answer::Unknown || known.answer(&need).1.is_none() {
            known.set(need, finding.answer, finding.evidence.clone());
        }
    };
    for (name, finding) in &report.xdp_helpers {
        if let Some(id) = names::helper_id(name) {
            take(Need::Helper(id), finding);
        }
    }
    for (name, finding) in &report.map_types {
        if let Some(id) = names::map_type_id(name) {
            take(Need::MapType(id), finding);
        }
    }
    for (name, finding) in &report.kfuncs {
        take(Need::Kfunc(name.clone()), finding);
    }
    for (name, need) in [
        ("xdp-frags", Need::Feature(Feature::Frags)),
        ("bpf2bpf-tail-calls", Need::Feature(Feature::TailCallInSubprogram)),
        ("isa-v2", Need::Isa(2)),
        ("isa-v3", Need::Isa(3)),
        ("isa-v4", Need::Isa(4)),
    ] {
        if let Some(finding) = report.features.get(name) {
            take(need, finding);
        }
    }
    if known.engine == EngineKind::Native
        && let Some(finding) = report.features.get("dev-bound-only")
    {
        known.set(Need::Feature(Feature::DeviceBound), finding.answer, finding.evidence.clone());
    }
    let btf = match report.btf_bytes.value() {
        Some(0) => Answer::No,
        Some(_) => Answer::Yes,
        None => Answer::Unknown,
    };
    known.set(Need::Feature(Feature::KernelBtf), btf, Evidence::kernel("/sys/kernel/btf/vmlinux"));
    known.conditions.extend(privileges(report));
}

/// Missing privileges do not make an engine unfit: they are said beforehand, and loading then says
/// the same as an error of its own.
fn privileges(report: &HostReport) -> Option<Condition> {
    let lacks: Vec<&str> = ["CAP_BPF", "CAP_NET_ADMIN"]
        .into_iter()
        .filter(|name| report.capabilities.get(*name) == Some(&false))
        .collect();
    if lacks.is_empty() {
        return None;
    }
    Some(
        Condition::new(
            "not-permitted",
            Answer::No,
            format!("loading XDP programs needs {}, which this process lacks", lacks.join(" and ")),
            Evidence::kernel("CapEff in /proc/self/status"),
        )
        .severity(Severity::Warns)
        .remedy("run as root"),
    )
}
