//! What the TC engine can do on a device, and how that is known.

use hoist_bpf::names;
use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need};
use hoist_offload::capability::{Answer, Capabilities};
use hoist_offload::device::Slot;
use hoist_offload::fact::Evidence;
use hoist_offload::host::HostReport;
use hoist_offload::kernel_program::capabilities::{reported, supported_kernels};
use hoist_offload::{Device, Error, Host};

use super::conditions;

/// Levels of calls that the kernel takes (`MAX_CALL_FRAMES`), less the new main.
const MAX_CALL_DEPTH: u64 = 7;

/// Helpers of XDP that TC lacks, which the translation replaces by routines of its own.
const TRANSLATED: [&str; 8] = [
    "bpf_xdp_adjust_head",
    // Refused at run time, as by a driver without metadata.
    "bpf_xdp_adjust_meta",
    "bpf_xdp_adjust_tail",
    "bpf_redirect",
    "bpf_redirect_map",
    "bpf_xdp_get_buff_len",
    "bpf_xdp_load_bytes",
    "bpf_xdp_store_bytes",
];

/// Kernel functions of XDP that have a TC form.
const EXCHANGED: [&str; 3] = ["bpf_dynptr_from_xdp", "bpf_xdp_ct_lookup", "bpf_xdp_ct_alloc"];

/// Maps of XDP that TC programs cannot use, which the translation replaces.
const CPUMAP: u32 = 16;
/// Maps of XDP for which there is nothing at TC.
const XSKMAP: u32 = 17;

/// The engine's answers and conditions.
pub(super) fn of(slot: Slot, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
    let mut known = Capabilities::new(slot.engine(), "kernel");
    supported_kernels(&mut known);
    let report = host.known()?;
    if let Some(report) = report {
        reported(&mut known, report, &report.tc_helpers);
        from_report(&mut known, report);
    }
    by_translation(&mut known);
    lacking(&mut known);
    known.conditions.extend(conditions::of(slot, device, report));
    Ok(known)
}

/// Where the program's main becomes a subprogram, its tail calls come from one.
fn from_report(known: &mut Capabilities, report: &HostReport) {
    if let Some(finding) = report.features.get("bpf2bpf-tail-calls") {
        known.set(Need::Feature(Feature::TailCall), finding.answer, finding.evidence.clone());
    }
}

fn by_translation(known: &mut Capabilities) {
    let translated = || Evidence::assumed("the translation replaces it");
    for name in TRANSLATED {
        if let Some(id) = names::helper_id(name) {
            known.set(Need::Helper(id), Answer::Yes, translated());
        }
    }
    for name in EXCHANGED {
        known.set(Need::Kfunc(name.to_owned()), Answer::Unknown, translated());
    }
    known.set(Need::MapType(CPUMAP), Answer::Yes, translated());
    known.set(Need::Feature(Feature::Redirect), Answer::Yes, translated());
    let linear = || Evidence::assumed("the translation makes every frame one buffer");
    known.set(Need::Feature(Feature::Frags), Answer::Yes, linear());
    let wrapped = || Evidence::kernel("kernel/bpf/verifier.c; the translation adds a new main");
    known.set(Need::Limit(LimitKind::CallDepth, MAX_CALL_DEPTH), Answer::Yes, wrapped());
}

fn lacking(known: &mut Capabilities) {
    let metadata = || Evidence::kernel("tc_cls_act_func_proto (net/core/filter.c)");
    known.set(Need::Feature(Feature::Metadata), Answer::No, metadata());
    known.set(
        Need::Feature(Feature::DeviceBound),
        Answer::No,
        Evidence::kernel("bpf_prog_load (kernel/bpf/syscall.c): only XDP programs are bound"),
    );
    known.set(
        Need::MapType(XSKMAP),
        Answer::No,
        Evidence::kernel("xdp_do_redirect (net/core/filter.c) alone delivers to AF_XDP sockets"),
    );
    known.set(
        Need::ContextField(ContextField::EgressIfindex),
        Answer::No,
        Evidence::kernel("xdp_is_valid_access (net/core/filter.c)"),
    );
}
