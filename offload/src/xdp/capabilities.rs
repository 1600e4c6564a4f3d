//! What the XDP hook can do on a device, and how that is known.

use hoist_bpf::requirements::{Feature, Need};

use crate::capability::{Answer, Capabilities};
use crate::device::{Device, XdpFeatures};
use crate::engine::EngineKind;
use crate::error::Error;
use crate::fact::Evidence;
use crate::host::Host;
use crate::kernel_program::capabilities::{reported, supported_kernels};
use crate::xdp::conditions;

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
        reported(&mut known, report, &report.xdp_helpers);
        if let Some(finding) = report.features.get("xdp-frags") {
            known.take(Need::Feature(Feature::Frags), finding);
        }
        let bound = report.features.get("dev-bound-only");
        if let Some(finding) = bound.filter(|_| kind == EngineKind::Native) {
            let evidence = finding.evidence.clone();
            known.set(Need::Feature(Feature::DeviceBound), finding.answer, evidence);
        }
    }
    known.conditions.extend(conditions::of(kind, host, device)?);
    Ok(known)
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
