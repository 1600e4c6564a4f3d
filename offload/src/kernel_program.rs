//! Programs that the kernel runs for an interface, whatever holds them there: loaded, attached,
//! kept, replaced, counted and taken off.
//!
//! Engines differ in what they load and in what they know beforehand; from [`prepared`] on, all that
//! tells them apart is the [`Slot`] that their program goes to:
//!
//! | slot | held by | kept by | compare and swap |
//! |---|---|---|---|
//! | XDP, all modes | a link; the interface, after replacing a program that it held | the link's pin | the kernel |
//! | tcx ingress | a link | the link's pin | the kernel |
//! | clsact ingress | a filter of the interface's qdisc, and a process that waits for hoist's end | the filter itself | hoist's lock |

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::kernel::loader::{self, Loaded};
use hoist_bpf::kernel::{Kernel, ObjectKind};
use hoist_bpf::module::{MapId, Module, ProgramId};

use crate::attach::{AttachPolicy, Attachment, MapHandle};
use crate::device::{Device, Slot};
use crate::engine::{DryRun, EngineKind, Outcome, Prepared};
use crate::error::{Error, Gap};
use crate::kernel_map::KernelMap;
use crate::pins::{self, Kept, State};
use crate::plan::Warning;

mod attachment;
pub mod capabilities;
pub mod conditions;
mod hold;
mod refusal;

pub use attachment::adopt;
pub use refusal::{Refuser, verifier_remedy};

use attachment::KernelAttachment;
use hold::Hold;

/// Runs a loaded program on one frame without attaching it: which frame goes in, and which verdict
/// comes out, differs between program types.
pub type FrameRunner = fn(&dyn Kernel, BorrowedFd<'_>, &[u8]) -> Result<Outcome, Error>;

/// A program that an engine loaded for an interface.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Where it is to be attached.
    pub slot: Slot,
    /// The program and its maps.
    pub loaded: Loaded,
    /// The module it was loaded from.
    pub module: &'a Module,
    /// Which of its programs it is.
    pub program: ProgramId,
    /// The map in which it counts verdicts, if it does.
    pub counters: Option<MapId>,
    /// The map in which it counts what happens off the plain path, and the names of its counters in
    /// the order of their keys.
    pub events: Option<(MapId, &'static [&'static str])>,
    /// The map that holds the interface's address, at key 0, for as long as it runs.
    pub address: Option<MapId>,
    /// Maps of the engine's own, which the user does not see.
    pub internal: Vec<MapId>,
    /// What the user should know of the preparation.
    pub warnings: Vec<Warning>,
    /// How to run it on a frame, where that can be done.
    pub dry_run: Option<FrameRunner>,
    /// What is run on frames in its stead, where the kernel runs no frame on the program itself.
    pub twin: Option<Twin>,
}

/// A program loaded a second time, with maps of its own.
#[derive(Debug)]
pub struct Twin(pub Loaded);

/// A program ready to be attached to `device`.
///
/// # Errors
/// The kernel could not say what it loaded, or in which network namespace this is.
pub fn prepared(
    kernel: &Arc<dyn Kernel>,
    device: &Device,
    parts: Parts<'_>,
) -> Result<Box<dyn Prepared>, Error> {
    let maps = Maps::of(kernel, &parts)?;
    let twin = match parts.twin {
        Some(Twin(loaded)) => {
            let own = |id: &MapId| parts.counters != Some(*id) && !parts.internal.contains(id);
            let maps = loaded.maps.iter().filter(|(id, _)| own(id)).map(|(&id, fd)| {
                Ok(KernelMap::of_module(kernel, Arc::clone(fd), parts.module.map(id))?.handle())
            });
            let maps = maps.collect::<Result<_, Error>>()?;
            Some((loaded, maps))
        }
        None => None,
    };
    Ok(Box::new(KernelPrepared {
        kernel: Arc::clone(kernel),
        slot: parts.slot,
        namespace: kernel.network_namespace()?,
        device: device.clone(),
        program: parts.module.program(parts.program).name.clone(),
        loaded: parts.loaded,
        maps,
        warnings: parts.warnings,
        dry_run: parts.dry_run,
        twin,
    }))
}

/// A program's maps, the verdict counters apart: these are not the user's.
#[derive(Clone, Debug, Default)]
struct Maps {
    own: Vec<MapHandle>,
    counters: Option<MapHandle>,
    events: Option<(MapHandle, &'static [&'static str])>,
    address: Option<MapHandle>,
}

impl Maps {
    fn of(kernel: &Arc<dyn Kernel>, parts: &Parts<'_>) -> Result<Self, Error> {
        let handle = |id: MapId, fd: &Arc<OwnedFd>| {
            Ok::<_, Error>(
                KernelMap::of_module(kernel, Arc::clone(fd), parts.module.map(id))?.handle(),
            )
        };
        let apart = |id: Option<MapId>| {
            let there = id.and_then(|id| Some((id, parts.loaded.maps.get(&id)?)));
            there.map(|(id, fd)| handle(id, fd)).transpose()
        };
        let mut maps = Self { address: apart(parts.address)?, ..Self::default() };
        if let Some((id, names)) = parts.events {
            maps.events = apart(Some(id))?.map(|handle| (handle, names));
        }
        for (&id, fd) in parts.loaded.maps.iter().filter(|(id, _)| !parts.internal.contains(id)) {
            let handle = handle(id, fd)?;
            if parts.counters == Some(id) {
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

/// A program that is loaded for one slot of one interface.
#[derive(Debug)]
struct KernelPrepared {
    kernel: Arc<dyn Kernel>,
    slot: Slot,
    /// Inode of the network namespace that the device's index counts in.
    namespace: u64,
    device: Device,
    program: String,
    loaded: Loaded,
    maps: Maps,
    warnings: Vec<Warning>,
    dry_run: Option<FrameRunner>,
    /// What runs frames in its stead, and its maps.
    twin: Option<(Loaded, Vec<MapHandle>)>,
}

impl KernelPrepared {
    fn refuser(&self) -> Refuser<'_> {
        Refuser::new(self.slot, &self.device, &self.program)
    }

    /// Whether hoist added the clsact qdisc for the program that is to be replaced, which stays only
    /// where its pins say so.
    fn made_qdisc_for(&self, old: u32, policy: &AttachPolicy) -> bool {
        if !matches!(self.slot, Slot::ClsactIngress | Slot::HwClsact) {
            return false;
        }
        let kernel = &*self.kernel;
        let root = match &policy.keep {
            Some(root) => Ok(root.clone()),
            None => kernel.bpffs(pins::ROOT),
        };
        let Ok(root) = root else { return false };
        let path = pins::directory(&root, self.namespace, self.device.ifindex, self.slot);
        let runs = Kept::at(path.clone()).and_then(|kept| kept.state(kernel).ok());
        matches!(runs, Some(State::Running { program_id, .. }) if program_id == old)
            && pins::made_qdisc(kernel, &path).unwrap_or(false)
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
        let remedy = Some("load the program again for this interface".to_owned());
        Err(self.refuser().refused(Gap { remedy, ..Gap::new("device-mismatch", what) }))
    }
}

impl Prepared for KernelPrepared {
    fn engine(&self) -> EngineKind {
        self.slot.engine()
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
        let made = policy.replace.is_some_and(|old| self.made_qdisc_for(old, policy));
        let hold = Hold::take(&*kernel, program, &self.refuser(), policy.replace, made)
            .inspect_err(|_| loader::withdraw(&*kernel, &pins))?;
        let mut attachment = KernelAttachment::new(*self, hold);
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
        self.dry_run.is_some().then_some(self)
    }
}

impl DryRun for KernelPrepared {
    fn run(&self, frame: &[u8]) -> Result<Outcome, Error> {
        match self.dry_run {
            Some(run) => {
                let runs = self.twin.as_ref().map_or(&self.loaded, |(loaded, _)| loaded);
                run(&*self.kernel, runs.program.as_fd(), frame)
            }
            None => Err(Error::Input {
                what: format!("{} cannot be run without being attached", self.program),
                hint: None,
            }),
        }
    }

    fn maps(&self) -> Option<Vec<MapHandle>> {
        self.twin.as_ref().map(|(_, maps)| maps.clone())
    }
}
