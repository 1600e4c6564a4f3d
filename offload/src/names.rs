//! Words for requirements: the names of helpers, map types and features, and the codes of gaps.

use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need};

/// A requirement in words, for use in a sentence after "needs".
#[must_use]
pub fn need(need: &Need) -> String {
    match need {
        Need::Feature(f) => feature(*f).to_owned(),
        Need::Helper(id) => format!("the helper {}", hoist_bpf::names::helper(*id)),
        Need::Kfunc(name) => format!("the kernel function {name}"),
        Need::MapType(kind) => format!("a map of type {}", hoist_bpf::names::map_type(*kind)),
        Need::MapFlag(flag) => format!("the map flag {}", hoist_bpf::names::map_flag(*flag)),
        Need::Limit(kind, value) => format!("{value} {}", limit(*kind)),
        Need::Isa(v) => format!("BPF instruction set version {v}"),
        Need::ContextField(f) => format!("the context field {}", context_field(*f)),
    }
}

/// The stable code of the gap that a missing need opens.
#[must_use]
pub const fn gap_code(need: &Need) -> &'static str {
    match need {
        Need::Feature(_) => "missing-feature",
        Need::Helper(_) => "missing-helper",
        Need::Kfunc(_) => "missing-kfunc",
        Need::MapType(_) => "missing-map-type",
        Need::MapFlag(_) => "missing-map-flag",
        Need::Limit(..) => "over-limit",
        Need::Isa(_) => "isa-too-new",
        Need::ContextField(_) => "missing-context-field",
    }
}

/// A feature in words.
#[must_use]
pub const fn feature(feature: Feature) -> &'static str {
    match feature {
        Feature::Tx => "XDP_TX",
        Feature::Redirect => "XDP_REDIRECT",
        Feature::AdjustHead => "moving the start of the frame",
        Feature::AdjustTail => "moving the end of the frame",
        Feature::Metadata => "metadata before the frame",
        Feature::Frags => "multi-buffer frames",
        Feature::PacketWrite => "direct packet writes",
        Feature::TailCall => "tail calls",
        Feature::BpfToBpfCall => "bpf-to-bpf calls",
        Feature::TailCallInSubprogram => "tail calls together with bpf-to-bpf calls",
        Feature::Callback => "callbacks",
        Feature::GlobalData => "global data",
        Feature::AtomicAdd => "atomic add",
        Feature::AtomicFull => "atomics beyond add",
        Feature::Loop => "bounded loops",
        Feature::MapValueWrite => "direct stores to map values",
        Feature::DeviceBound => "device-bound loading",
        Feature::DevmapProgram => "attachment to a devmap entry",
        Feature::CpumapProgram => "attachment to a cpumap entry",
        Feature::GplOnlyHelper => "GPL-only helpers",
        Feature::KernelBtf => "the kernel's BTF",
        Feature::ProgramBtf => "loading BTF with the program",
    }
}

/// The unit of a limit.
#[must_use]
pub const fn limit(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Instructions => "instructions",
        LimitKind::StackBytes => "bytes of stack",
        LimitKind::CallDepth => "levels of calls",
        LimitKind::MapEntries => "entries in a map",
        LimitKind::KeyBytes => "bytes of key",
        LimitKind::ValueBytes => "bytes of value",
        LimitKind::MapBytes => "bytes of maps",
    }
}

/// A context field's name in `struct xdp_md`.
#[must_use]
pub const fn context_field(field: ContextField) -> &'static str {
    match field {
        ContextField::Data => "data",
        ContextField::DataEnd => "data_end",
        ContextField::DataMeta => "data_meta",
        ContextField::IngressIfindex => "ingress_ifindex",
        ContextField::RxQueueIndex => "rx_queue_index",
        ContextField::EgressIfindex => "egress_ifindex",
    }
}
