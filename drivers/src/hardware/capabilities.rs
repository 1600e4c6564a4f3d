//! What a NIC can do, as far as the kernel decides it: the driver's profile and the load decide the
//! rest.

use hoist_bpf::names;
use hoist_bpf::requirements::{ContextField, Feature, Need};
use hoist_offload::capability::{Answer, Capabilities};
use hoist_offload::device::Slot;
use hoist_offload::kernel_program::capabilities::{reported, supported_kernels};
use hoist_offload::{Device, EngineKind, Error, Evidence, Host};

use super::conditions;

/// `BPF_MAP_TYPE_HASH`, `..._ARRAY`: those that the kernel makes in a NIC.
const IN_THE_NIC: [(&str, u32); 2] = [("hash", 1), ("array", 2)];
const PERF_EVENT_ARRAY: u32 = 4;
/// Types that the lowering may turn into those: per-CPU hash and array, LRU hash and per-CPU LRU hash.
const LOWERED: [u32; 4] = [5, 6, 9, 10];
/// The highest `enum bpf_map_type` that there may be one day.
const MAP_TYPES: std::ops::RangeInclusive<u32> = 1..=64;

/// The engine's answers and conditions. Where there is no NIC for BPF, nothing else matters.
pub(super) fn of(slot: Slot, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
    let mut known = Capabilities::new(EngineKind::Hw, "kernel");
    let offloads = conditions::offloads(device);
    let there = offloads.holds;
    known.conditions.push(offloads);
    if there == Answer::No {
        return Ok(known);
    }
    // The host's verifier goes through the program before the driver does.
    supported_kernels(&mut known);
    if let Some(report) = host.known()? {
        reported(
            &mut known,
            report,
            match slot {
                Slot::Hw => &report.xdp_helpers,
                _ => &report.tc_helpers,
            },
        );
    }
    maps(&mut known, device);
    never(&mut known, slot);
    lowered(&mut known);
    known.conditions.extend(conditions::of(slot, host, device)?);
    Ok(known)
}

fn maps(known: &mut Capabilities, device: &Device) {
    let kernel = || Evidence::kernel("bpf_map_offload_map_alloc (kernel/bpf/offload.c)");
    for kind in MAP_TYPES {
        known.set(Need::MapType(kind), Answer::No, kernel());
    }
    for kind in LOWERED {
        known.set(Need::MapType(kind), Answer::Unknown, kernel());
    }
    for (name, kind) in IN_THE_NIC {
        known.set(Need::MapType(kind), Answer::Unknown, kernel());
        if let Some(tried) = device.offload.get(name) {
            known.take(Need::MapType(kind), tried);
        }
    }
    let neutral = Evidence::kernel("bpf_map_offload_neutral (include/linux/bpf.h): on the host");
    known.set(Need::MapType(PERF_EVENT_ARRAY), Answer::Yes, neutral);
}

/// What no driver is asked about.
fn never(known: &mut Capabilities, slot: Slot) {
    let no = |known: &mut Capabilities, feature, place: &str| {
        known.set(Need::Feature(feature), Answer::No, Evidence::kernel(place));
    };
    let program_maps =
        "bpf_prog_map_compatible (kernel/bpf/core.c): no tail calls from or to a NIC";
    no(known, Feature::TailCall, program_maps);
    no(known, Feature::TailCallInSubprogram, program_maps);
    let bound = "bpf_prog_dev_bound_init (kernel/bpf/offload.c)";
    no(known, Feature::Frags, bound);
    no(known, Feature::DeviceBound, bound);
    let calls = "add_kfunc_call (kernel/bpf/verifier.c)";
    no(known, Feature::Callback, calls);
    if slot == Slot::HwClsact {
        let classifier = "a classifier passes or drops";
        for feature in [Feature::Tx, Feature::Redirect, Feature::AdjustHead, Feature::AdjustTail] {
            no(known, feature, classifier);
        }
        for field in
            [ContextField::RxQueueIndex, ContextField::IngressIfindex, ContextField::DataMeta]
        {
            let evidence = Evidence::kernel(classifier);
            known.set(Need::ContextField(field), Answer::No, evidence);
        }
    }
}

/// What the kernel would refuse as it is, and the lowering may take out of the program.
fn lowered(known: &mut Capabilities) {
    for feature in [Feature::GlobalData, Feature::Redirect] {
        if known.answer(&Need::Feature(feature)).0 != Answer::No {
            let evidence = Evidence::assumed("the lowering and the driver tell");
            known.set(Need::Feature(feature), Answer::Unknown, evidence);
        }
    }
    let flags: Vec<u32> = known
        .answers
        .iter()
        .filter_map(|c| if let Need::MapFlag(bit) = c.need { Some(bit) } else { None })
        .collect();
    for bit in flags {
        let evidence = Evidence::assumed("the lowering and the driver tell");
        known.set(Need::MapFlag(bit), Answer::Unknown, evidence);
    }
    // By name, so that a kernel that has the helper is not taken for a NIC that has it.
    for name in ["bpf_redirect", "bpf_redirect_map"] {
        if let Some(id) = names::helper_id(name) {
            let evidence = Evidence::assumed("the driver tells");
            known.set(Need::Helper(id), Answer::Unknown, evidence);
        }
    }
}
