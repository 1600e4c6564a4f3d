//! What the kernel takes of a program, whichever of its hooks the program goes to.

use std::collections::BTreeMap;

use hoist_bpf::names;
use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need};

use crate::capability::{Answer, Capabilities, Condition, Severity};
use crate::fact::Evidence;
use crate::host::HostReport;
use crate::host::report::Finding;

/// Instructions the verifier takes from a privileged user (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_INSTRUCTIONS: u64 = 1_000_000;
/// `MAX_BPF_STACK`, for all frames of a call chain together.
const MAX_STACK_BYTES: u64 = 512;
/// `MAX_CALL_FRAMES`.
const MAX_CALL_DEPTH: u64 = 8;

/// What every kernel that hoist supports does at every hook.
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

/// What every supported kernel takes of a program, whatever its type, and what none takes of a program
/// for an interface.
pub fn supported_kernels(known: &mut Capabilities) {
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

/// Answers from trial loads, where they were made: `helpers` are those of the engine's program type.
pub fn reported(
    known: &mut Capabilities,
    report: &HostReport,
    helpers: &BTreeMap<String, Finding>,
) {
    for (name, finding) in helpers {
        if let Some(id) = names::helper_id(name) {
            known.take(Need::Helper(id), finding);
        }
    }
    for (name, finding) in &report.map_types {
        if let Some(id) = names::map_type_id(name) {
            known.take(Need::MapType(id), finding);
        }
    }
    for (name, finding) in &report.kfuncs {
        known.take(Need::Kfunc(name.clone()), finding);
    }
    for (name, need) in [
        ("bpf2bpf-tail-calls", Need::Feature(Feature::TailCallInSubprogram)),
        ("isa-v2", Need::Isa(2)),
        ("isa-v3", Need::Isa(3)),
        ("isa-v4", Need::Isa(4)),
    ] {
        if let Some(finding) = report.features.get(name) {
            known.take(need, finding);
        }
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
