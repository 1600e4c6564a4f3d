//! The kernel's XDP hook as an engine: the body that the native and the generic engine share.
//!
//! They differ in the slot (`XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE`) and in what the driver has to
//! say, not in how a program is loaded, attached, replaced and counted.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{
    self, ATTACH_TYPE_XDP, Binding, LoadError, LoadSpec, Loaded, PROG_TYPE_XDP,
};
use hoist_bpf::kernel::{Kernel, TestRunSpec};
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::passes::count::{self, Counted, Length};
use hoist_bpf::requirements::Feature;

use crate::attach::Attachment;
use crate::capability::Capabilities;
use crate::device::{Device, Slot};
use crate::engine::{Engine, EngineKind, Hook, Job, Outcome, Prepared, Verdict};
use crate::error::Error;
use crate::host::Host;
use crate::kernel_program::{self, FrameRunner, Parts, Refuser};
use crate::pins::Kept;
use crate::plan::Warning;

mod capabilities;
mod conditions;

/// The kernel's XDP engine in one of its two software modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpEngine {
    kind: EngineKind,
}

impl XdpEngine {
    /// In the driver, before a socket buffer exists.
    pub const NATIVE: Self = Self { kind: EngineKind::Native };
    /// In the core, on the socket buffer.
    pub const GENERIC: Self = Self { kind: EngineKind::Generic };
}

/// The slot of an engine's programs.
const fn slot(kind: EngineKind) -> Slot {
    match kind {
        EngineKind::Hw => Slot::Hw,
        EngineKind::Native => Slot::Native,
        EngineKind::Generic | EngineKind::Tc | EngineKind::User => Slot::Generic,
    }
}

impl Engine for XdpEngine {
    fn kind(&self) -> EngineKind {
        self.kind
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        capabilities::of(self.kind, host, device)
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let refuser = Refuser::new(slot(self.kind), device, job.program_name());
        let mut warnings = Vec::new();
        let (counted, loaded) = load_counting(&**kernel, device, job, &mut warnings);
        let (module, program, counters) = match &counted {
            Some(counted) => (&counted.module, counted.program, Some(counted.counters)),
            None => (&*job.module, job.program, None),
        };
        let loaded = loaded.map_err(|e| refuser.load(e))?;
        let bound = job.requirements.uses(Feature::DeviceBound);
        // BPF_PROG_TEST_RUN refuses device-bound programs.
        let dry_run: Option<FrameRunner> = if bound { None } else { Some(run_frame) };
        let parts = Parts {
            slot: slot(self.kind),
            loaded,
            module,
            program,
            counters,
            events: None,
            address: None,
            internal: Vec::new(),
            warnings,
            dry_run,
            twin: None,
        };
        kernel_program::prepared(kernel, device, parts)
    }

    fn adopt(
        &self,
        kernel: &Arc<dyn Kernel>,
        kept: &Kept,
        device: &Device,
    ) -> Result<Box<dyn Attachment>, Error> {
        kernel_program::adopt(kernel, kept, device)
    }
}

/// Loads the program with counters if they are wanted. What stands against them costs the counters,
/// never the program.
fn load_counting(
    kernel: &dyn Kernel,
    device: &Device,
    job: &Job,
    warnings: &mut Vec<Warning>,
) -> (Option<Counted>, Result<Loaded, LoadError>) {
    let mut refused = None;
    let ways = [Length::Difference, Length::Helper];
    for length in ways.into_iter().filter(|_| job.count_verdicts) {
        let counted = match count::apply_with(&job.module, job.program, length) {
            Ok(counted) => counted,
            Err(error) => {
                warnings.push(not_counted(job, &error.to_string()));
                break;
            }
        };
        match load(kernel, device, job, &counted.module, counted.program) {
            Err(LoadError::Program { error, .. }) => {
                let log = error.log.as_deref().unwrap_or_default();
                // The verifier says so to those without CAP_PERFMON, who can do with the helper.
                let of_pointers = log.contains("pointer -= pointer");
                refused = Some(error);
                if !of_pointers {
                    break;
                }
            }
            loaded => return (Some(counted), loaded),
        }
    }
    let plain = load(kernel, device, job, &job.module, job.program);
    if let (Some(error), Ok(_)) = (refused, &plain) {
        let why = format!("the verifier refused the counters: {}", error.cause());
        let remedy = kernel_program::verifier_remedy(error.log.as_deref().unwrap_or_default());
        warnings.push(Warning { remedy, ..not_counted(job, &why) });
    }
    (None, plain)
}

fn load(
    kernel: &dyn Kernel,
    device: &Device,
    job: &Job,
    module: &Module,
    program: ProgramId,
) -> Result<Loaded, LoadError> {
    let bound = job.requirements.uses(Feature::DeviceBound);
    let spec = LoadSpec {
        module,
        program,
        kind: PROG_TYPE_XDP,
        attach_type: ATTACH_TYPE_XDP,
        binding: bound.then_some(Binding::HostOnly(device.ifindex)),
        pin_root: job.pin_root.as_deref(),
        contents: &job.contents,
    };
    loader::load(kernel, &spec)
}

fn not_counted(job: &Job, why: &str) -> Warning {
    Warning {
        code: "not-counted".to_owned(),
        message: format!("verdicts of {} are not counted: {why}", job.program_name()),
        remedy: None,
    }
}

/// Runs an XDP program on one frame.
fn run_frame(kernel: &dyn Kernel, program: BorrowedFd<'_>, frame: &[u8]) -> Result<Outcome, Error> {
    let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
    let run = kernel.test_run(program, &spec)?;
    Ok(Outcome { verdict: Verdict::from(run.verdict), frame: run.data })
}
