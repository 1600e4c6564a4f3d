//! The kernel's XDP hook as an engine: the body that the native and the generic engine share.
//!
//! They differ in the slot (`XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE`) and in what the driver has to
//! say, not in how a program is loaded, attached, replaced and counted.

use std::os::fd::AsFd;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{
    self, ATTACH_TYPE_XDP, LoadError, LoadSpec, Loaded, PROG_TYPE_XDP,
};
use hoist_bpf::kernel::{Kernel, ObjectKind, TestRunSpec, XdpMode};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::passes::count::{self, Counted, Length};
use hoist_bpf::requirements::Feature;

use crate::attach::{AttachPolicy, Attachment, MapHandle};
use crate::capability::Capabilities;
use crate::device::{Device, Slot};
use crate::engine::{DryRun, Engine, EngineKind, Hook, Job, Outcome, Prepared, Verdict};
use crate::error::{Error, Gap};
use crate::host::Host;
use crate::kernel_map::KernelMap;
use crate::plan::Warning;

mod attachment;
mod capabilities;
mod conditions;
mod hold;
mod refusal;

pub use attachment::adopt;

use attachment::XdpAttachment;
use hold::Hold;
use refusal::Refuser;

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

/// The mode in which the kernel runs an engine's programs.
const fn mode(kind: EngineKind) -> XdpMode {
    match kind {
        EngineKind::Hw => XdpMode::Hardware,
        EngineKind::Native => XdpMode::Native,
        EngineKind::Generic | EngineKind::Tc | EngineKind::User => XdpMode::Generic,
    }
}

/// The engine that runs programs in a mode.
const fn kind(mode: XdpMode) -> EngineKind {
    match mode {
        XdpMode::Hardware => EngineKind::Hw,
        XdpMode::Native => EngineKind::Native,
        XdpMode::Generic => EngineKind::Generic,
    }
}

/// The slot of a mode.
const fn slot(kind: EngineKind) -> Slot {
    match mode(kind) {
        XdpMode::Hardware => Slot::Hw,
        XdpMode::Native => Slot::Native,
        XdpMode::Generic => Slot::Generic,
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
        let refuser = Refuser::new(self.kind, device, job.program_name());
        let mut warnings = Vec::new();
        let (counted, loaded) = load_counting(&**kernel, device, job, &mut warnings);
        let (module, program, counters) = match &counted {
            Some(counted) => (&counted.module, counted.program, Some(counted.counters)),
            None => (&*job.module, job.program, None),
        };
        let loaded = loaded.map_err(|e| refuser.load(e))?;
        let maps = Maps::of(kernel, &loaded, module, counters)?;
        Ok(Box::new(XdpPrepared {
            kernel: Arc::clone(kernel),
            kind: self.kind,
            namespace: kernel.network_namespace()?,
            device: device.clone(),
            program: module.program(program).name.clone(),
            bound: job.requirements.uses(Feature::DeviceBound),
            loaded,
            maps,
            warnings,
        }))
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
        let remedy = refusal::verifier_remedy(error.log.as_deref().unwrap_or_default());
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
        bound_to: bound.then_some(device.ifindex),
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

/// A program's maps, the verdict counters apart: these are not the user's.
#[derive(Clone, Debug, Default)]
struct Maps {
    own: Vec<MapHandle>,
    counters: Option<MapHandle>,
}

impl Maps {
    fn of(
        kernel: &Arc<dyn Kernel>,
        loaded: &Loaded,
        module: &Module,
        counters: Option<MapId>,
    ) -> Result<Self, Error> {
        let mut maps = Self::default();
        for (&id, fd) in &loaded.maps {
            let handle = KernelMap::of_module(kernel, Arc::clone(fd), module.map(id))?.handle();
            if counters == Some(id) {
                maps.counters = Some(handle);
            } else {
                maps.own.push(handle);
            }
        }
        Ok(maps)
    }

    fn named(&self, name: &str) -> Option<MapHandle> {
        self.own.iter().chain(&self.counters).find(|m| m.def().name == name).cloned()
    }
}

/// A program that is loaded for one interface and one mode.
#[derive(Debug)]
struct XdpPrepared {
    kernel: Arc<dyn Kernel>,
    kind: EngineKind,
    /// Inode of the network namespace that the device's index counts in.
    namespace: u64,
    device: Device,
    program: String,
    /// Bound to the device, and so not to be run elsewhere.
    bound: bool,
    loaded: Loaded,
    maps: Maps,
    warnings: Vec<Warning>,
}

impl XdpPrepared {
    fn refuser(&self) -> Refuser<'_> {
        Refuser::new(self.kind, &self.device, &self.program)
    }

    /// Refuses to go to a device of the same index in another network namespace. The kernel would
    /// not: to `__bpf_offload_dev_match` (kernel/bpf/offload.c) any two devices that programs are
    /// bound to without offload are the same one.
    fn stays_home(&self) -> Result<(), Error> {
        if self.kernel.network_namespace()? == self.namespace {
            return Ok(());
        }
        let what = format!(
            "{} was loaded for {} in another network namespace",
            self.program, self.device.name
        );
        let gap = Gap::new("device-mismatch", what);
        let remedy = conditions::remedy(&gap.code, self.kind, &self.device);
        Err(self.refuser().refused(Gap { remedy, ..gap }))
    }
}

impl Prepared for XdpPrepared {
    fn engine(&self) -> EngineKind {
        self.kind
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        self.maps.named(name)
    }

    fn maps(&self) -> Vec<MapHandle> {
        self.maps.own.clone()
    }

    fn attach(mut self: Box<Self>, policy: &AttachPolicy) -> Result<Box<dyn Attachment>, Error> {
        self.stays_home()?;
        let kernel = Arc::clone(&self.kernel);
        let pins = self.loaded.commit(&*kernel).map_err(|e| self.refuser().load(e))?;
        let program = self.loaded.program.as_fd();
        // Held while it is replaced: should the new program not be able to stay, it goes back.
        let old = policy.replace.and_then(|id| kernel.open(ObjectKind::Program, id).ok().flatten());
        let hold = Hold::take(&*kernel, program, &self.refuser(), policy.replace)
            .inspect_err(|_| loader::withdraw(&*kernel, &pins))?;
        let mut attachment = XdpAttachment::new(*self, hold);
        if let Some(root) = &policy.keep
            && let Err(error) = attachment.keep(root)
        {
            loader::withdraw(&*kernel, &pins);
            if let Some(old) = old {
                attachment.give_back(&old);
            }
            return Err(error);
        }
        Ok(Box::new(attachment))
    }

    fn warnings(&self) -> Vec<Warning> {
        self.warnings.clone()
    }

    fn dry_run(&self) -> Option<&dyn DryRun> {
        // BPF_PROG_TEST_RUN refuses device-bound programs.
        (!self.bound).then_some(self)
    }
}

impl DryRun for XdpPrepared {
    fn run(&self, frame: &[u8]) -> Result<Outcome, Error> {
        let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
        let run = self.kernel.test_run(self.loaded.program.as_fd(), &spec)?;
        Ok(Outcome { verdict: Verdict::from(run.verdict), frame: run.data })
    }
}
