//! The TC engine: XDP programs at TC ingress, translated.
//!
//! It is one engine at two hooks: tcx where the kernel has it, else a filter of a clsact qdisc. The
//! program runs before every other at its hook, and what it passes goes on to them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{self, LoadError, LoadSpec, Loaded};
use hoist_bpf::kernel::{Entries, Kernel};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::resolve::{self, TargetBtf};
use hoist_offload::device::Slot;
use hoist_offload::kernel_program::{self, Parts, Refuser};
use hoist_offload::pins::Kept;
use hoist_offload::{
    Attachment, Capabilities, Device, Engine, EngineKind, Error, Gap, Hook, Host, Job, Prepared,
};

mod capabilities;
mod conditions;
mod dry_run;
mod self_test;
pub mod translate;

use translate::{DeviceAddress, Globals, Offsets, Options, TagPush, Translated};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const PROG_TYPE_SCHED_CLS: u32 = 3;
/// `BPF_TCX_INGRESS`.
const TCX_INGRESS: u32 = 46;
const E2BIG: i32 = 7;
const EINVAL: i32 = 22;

/// What makes the form of a program that this engine runs: [`translate::translate`], or, where a test
/// asks whether anybody would notice, something that makes it wrong.
pub type Translator =
    dyn Fn(&Module, ProgramId, &Options) -> Result<Translated, Vec<Gap>> + Send + Sync;

/// TC ingress at one of its hooks.
#[derive(Clone, Copy)]
pub struct TcEngine {
    hook: Hook,
    translator: &'static Translator,
}

/// At tcx (Linux 6.6): held by a link.
pub static TCX: TcEngine = TcEngine::new(Hook::Tcx, &translate::translate);

/// At clsact: a filter of the interface's qdisc.
pub static CLSACT: TcEngine = TcEngine::new(Hook::Clsact, &translate::translate);

impl fmt::Debug for TcEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcEngine").field("hook", &self.hook).finish_non_exhaustive()
    }
}

impl TcEngine {
    /// The engine at a hook ([`Hook::Tcx`] or [`Hook::Clsact`]), with a translator of its own.
    #[must_use]
    pub const fn new(hook: Hook, translator: &'static Translator) -> Self {
        Self { hook, translator }
    }

    /// The program's form for TC, or every reason why there is none.
    fn translated(self, job: &Job, form: Options) -> Result<Translated, Vec<Gap>> {
        let options = Options { count: job.count_verdicts, merged: job.merged, ..form };
        let mut gaps = entry_programs(job);
        match (self.translator)(&job.module, job.program, &options) {
            Ok(translated) if gaps.is_empty() => Ok(translated),
            Ok(_) => Err(gaps),
            Err(reasons) => {
                gaps.extend(reasons);
                Err(gaps)
            }
        }
    }

    const fn slot(self) -> Slot {
        match self.hook {
            Hook::Clsact => Slot::ClsactIngress,
            _ => Slot::TcxIngress,
        }
    }

    /// Says before anything is attached that the kernel has no such hook.
    fn hook_exists(self, kernel: &dyn Kernel, device: &Device) -> Result<(), Gap> {
        if self.hook != Hook::Tcx {
            return Ok(());
        }
        match kernel.query_tcx(device.ifindex, TCX_INGRESS) {
            Err(error) if error.errno == EINVAL => {
                let what = format!("the kernel has no tcx, which came with Linux 6.6 ({error})");
                Err(Gap { message: what, ..Gap::kernel("no-tcx", &error) }
                    .remedy("use --engine clsact"))
            }
            _ => Ok(()),
        }
    }
}

impl Engine for TcEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Tc
    }

    fn hook(&self) -> Hook {
        self.hook
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        capabilities::of(self.slot(), host, device)
    }

    fn examine(&self, _device: &Device, job: &Job) -> Vec<Gap> {
        self.translated(job, Options::default()).err().unwrap_or_default()
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let refuser = Refuser::new(self.slot(), device, job.program_name());
        let refused = |gap| refuser.refused(gap);
        self.hook_exists(&**kernel, device).map_err(refused)?;
        let tag_push = self_test::passed(&**kernel).map_err(refused)?;
        let attempt = |form| {
            let mut translated = self.translated(job, form).map_err(|g| refuser.refused_for(g))?;
            if translated.resolve_again {
                resolve_again(&**kernel, &mut translated).map_err(refused)?;
            }
            let loaded = load(&**kernel, device, job, &translated);
            Ok::<_, Error>((translated, loaded))
        };
        let first = Options { tag_push, ..Options::default() };
        let (mut translated, mut loaded) = attempt(first)?;
        let mut next = other_form(first, &loaded);
        while let Some(form) = next {
            let (again, result) = attempt(form)?;
            next = other_form(form, &result);
            if result.is_ok() {
                (translated, loaded) = (again, result);
            }
        }
        let loaded = loaded.map_err(|error| refuser.load(error))?;
        let own = job.module.maps.len();
        let internal = (own..translated.module.maps.len())
            .map(|i| MapId(i as u32))
            .filter(|id| translated.counters != Some(*id))
            .collect();
        let parts = Parts {
            slot: self.slot(),
            loaded,
            module: &translated.module,
            program: translated.program,
            counters: translated.counters,
            events: Some((translated.events, &translate::events::NAMES)),
            address: translated.device,
            internal,
            warnings: translated.warnings,
            dry_run: Some(dry_run::run_frame),
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

/// What the running kernel's `bpf_skb_vlan_push` does, for [`Options::tag_push`]; the default where the
/// kernel cannot be asked. [`TcEngine`] asks by itself.
#[must_use]
pub fn tag_push(kernel: &dyn Kernel) -> TagPush {
    self_test::tag_push(kernel).unwrap_or_default()
}

fn load(
    kernel: &dyn Kernel,
    device: &Device,
    job: &Job,
    translated: &Translated,
) -> Result<Loaded, LoadError> {
    let spec = LoadSpec {
        module: &translated.module,
        program: translated.program,
        kind: PROG_TYPE_SCHED_CLS,
        attach_type: 0,
        binding: None,
        pin_root: job.pin_root.as_deref(),
        contents: &contents(device, job, translated),
    };
    loader::load(kernel, &spec)
}

/// The form to try when the verifier has refused one.
fn other_form(form: Options, loaded: &Result<Loaded, LoadError>) -> Option<Options> {
    let Err(LoadError::Program { error, .. }) = loaded else { return None };
    let log = error.log.as_deref().unwrap_or_default();
    // Followed from each caller, global functions may be more than the verifier goes through.
    if error.errno == E2BIG && form.globals == Globals::Inline {
        Some(Options { globals: Globals::Keep, ..form })
    // So it says to those without CAP_PERFMON.
    } else if log.contains("prohibited for !root") && form.offsets == Offsets::Any {
        Some(Options { offsets: Offsets::Constant, ..form })
    } else {
        None
    }
}

/// Map entries with a program of their own, which would run on XDP frames only.
fn entry_programs(job: &Job) -> Vec<Gap> {
    const DEVMAP: u32 = 14;
    const CPUMAP: u32 = 16;
    const DEVMAP_HASH: u32 = 25;
    let mut gaps = Vec::new();
    for (&id, entries) in &job.contents {
        let map = job.module.map(id);
        let has_program =
            |(_, value): &(Vec<u8>, Vec<u8>)| value.get(4..8).is_some_and(|fd| fd != [0; 4]);
        if matches!(map.kind, DEVMAP | CPUMAP | DEVMAP_HASH) && entries.iter().any(has_program) {
            let what = format!("an entry of map {} has a program, which TC cannot run", map.name);
            let remedy = "leave the programs of the entries away, or use --engine native,generic";
            let mut gap = Gap::new("map-entry-program", what).remedy(remedy);
            gap.map = Some(map.name.clone());
            gaps.push(gap);
        }
    }
    gaps
}

/// Looks up the kernel functions that the translation exchanged for others.
fn resolve_again(kernel: &dyn Kernel, translated: &mut Translated) -> Result<(), Gap> {
    let missing = |why: String| {
        let remedy = "run a kernel that has its TC form, or use --engine native,generic";
        Gap::new("missing-kfunc", why).remedy(remedy)
    };
    let btf = kernel.kernel_btf().map_err(|error| missing(error.to_string()))?;
    let target = match btf {
        Some(bytes) => TargetBtf::parse((*bytes).as_ref().to_vec())
            .map_err(|error| missing(format!("the kernel's BTF: {error}")))?,
        None => TargetBtf::none(),
    };
    let resolved = resolve::resolve(&translated.module, &target);
    translated.module = resolved.map_err(|error| missing(error.to_string()))?;
    Ok(())
}

/// What is written to maps before the program runs: the user's, and what the runtime must know.
fn contents(device: &Device, job: &Job, translated: &Translated) -> BTreeMap<MapId, Entries> {
    let mut contents = job.contents.clone();
    if let (Some(map), Some(address)) = (translated.device, device.address()) {
        let entry = (DeviceAddress::key().to_vec(), DeviceAddress(address).value().to_vec());
        contents.insert(map, vec![entry]);
    }
    contents
}

#[cfg(test)]
mod tests;
