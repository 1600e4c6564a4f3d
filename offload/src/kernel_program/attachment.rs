//! A program that runs on an interface.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_bpf::kernel::{Kernel, KernelError, loader};
use hoist_bpf::passes::count;

use crate::attach::{self, Attachment, Effective, MapHandle, Stats};
use crate::device::{Device, Slot};
use crate::engine::{EngineKind, Prepared};
use crate::error::{Error, Gap};
use crate::kernel_map::KernelMap;
use crate::kernel_program::hold::{Filter, Hold, Identified};
use crate::kernel_program::refusal::{ENODEV, Refuser};
use crate::kernel_program::{KernelPrepared, Maps};
use crate::pins::{self, Kept};
use crate::plan::Wanted;

/// A running program.
#[derive(Debug)]
pub(super) struct KernelAttachment {
    kernel: Arc<dyn Kernel>,
    slot: Slot,
    /// Inode of the network namespace that the device's index counts in.
    namespace: u64,
    device: Device,
    name: String,
    program: OwnedFd,
    maps: Maps,
    /// `None` once the program was let go.
    hold: Option<Hold>,
    /// Directory of its pins, when it was told to stay.
    pinned: Option<PathBuf>,
}

impl KernelAttachment {
    pub(super) fn new(prepared: KernelPrepared, hold: Hold) -> Self {
        let KernelPrepared { kernel, slot, namespace, device, program: name, loaded, maps, .. } =
            prepared;
        Self {
            kernel,
            slot,
            namespace,
            device,
            name,
            program: loaded.program,
            maps,
            hold: Some(hold),
            pinned: None,
        }
    }

    /// Pins everything, so that the program outlives this process.
    pub(super) fn keep(&mut self, root: &Path) -> Result<(), Error> {
        let directory = pins::directory(root, self.namespace, self.device.ifindex, self.slot);
        // Leftovers do no harm; should sweeping fail, pinning will say why.
        drop(pins::sweep(&*self.kernel, root));
        self.pin(&directory)?;
        if let Some(hold) = &mut self.hold {
            // Should it fail, the program is taken off, and with it what the pins are about.
            hold.let_stay(&*self.kernel)
                .inspect_err(|_| drop(pins::remove(&*self.kernel, &directory)))?;
        }
        self.pinned = Some(directory);
        Ok(())
    }

    /// What is in the directory belongs to a program that is gone: this one holds the slot.
    fn pin(&self, directory: &Path) -> Result<(), Error> {
        let maps = self.maps.own.iter().chain(&self.maps.counters);
        let hold = self.hold.as_ref();
        let pins = pins::Pins {
            program: self.program.as_fd(),
            link: hold.and_then(Hold::link),
            qdisc: hold.is_some_and(Hold::made_qdisc),
        };
        pins::write(&*self.kernel, directory, pins, maps)
    }

    /// Puts the program that was replaced back and lets go of the slot, whose holder is another's.
    /// When that fails, this program is taken off as if it had replaced nothing.
    pub(super) fn give_back(&mut self, old: &OwnedFd) {
        if self.swap(old.as_fd()).is_ok()
            && let Some(mut hold) = self.hold.take()
        {
            // Whoever would end it waits for a program that is not there any more.
            drop(hold.let_stay(&*self.kernel));
        }
    }

    /// Runs another program in this one's place.
    fn swap(&mut self, next: BorrowedFd<'_>) -> Result<(), Error> {
        let refuser = Refuser::new(self.slot, &self.device, &self.name);
        let Some(hold) = &mut self.hold else {
            return Err(gone(&self.name, &self.device, "the program was detached"));
        };
        let old = Identified::of(&*self.kernel, self.program.as_fd())?;
        hold.swap(&*self.kernel, next, old, &refuser)
    }

    fn refuser(&self) -> Refuser<'_> {
        Refuser::new(self.slot, &self.device, &self.name)
    }

    fn take_off(&mut self) -> Result<(), KernelError> {
        let Some(hold) = self.hold.take() else { return Ok(()) };
        if let Err(error) = hold.detach(&*self.kernel, &self.refuser(), self.program.as_fd()) {
            self.hold = Some(hold);
            return Err(error);
        }
        match self.pinned.take() {
            Some(directory) => pins::remove(&*self.kernel, &directory),
            None => Ok(()),
        }
    }

    fn gone(&self, why: &str) -> Error {
        gone(&self.name, &self.device, why)
    }

    /// The slot that the program is in now, as the kernel says.
    fn slot_now(&self, ifindex: u32, program_id: u32) -> Result<Slot, Error> {
        if self.slot.mode().is_none() {
            return Ok(self.slot);
        }
        let slots = self.kernel.query_xdp(ifindex)?;
        [Slot::Hw, Slot::Native, Slot::Generic]
            .into_iter()
            .find(|slot| slot.mode().and_then(|mode| slots.of(mode)) == Some(program_id))
            .ok_or_else(|| self.gone("the program is in no XDP slot of the interface any more"))
    }
}

fn gone(program: &str, device: &Device, why: &str) -> Error {
    Error::Kernel {
        error: KernelError {
            operation: "BPF_OBJ_GET_INFO_BY_FD".to_owned(),
            object: format!("{program} on {}", device.name),
            errno: ENODEV,
            message: Some(why.to_owned()),
            log: None,
        },
        hint: Some("hoist status lists what is attached".to_owned()),
    }
}

impl Attachment for KernelAttachment {
    fn effective(&self) -> Result<Effective, Error> {
        let (ifindex, program_id, link_id) = match self.hold.as_ref().and_then(Hold::link) {
            Some(link) => {
                let info = self.kernel.link_info(link)?;
                if info.ifindex == 0 {
                    return Err(self.gone("the interface is gone, and the program with it"));
                }
                (info.ifindex, info.program_id, Some(info.id))
            }
            None => {
                let info = self.kernel.program_info(self.program.as_fd())?;
                (self.device.ifindex, info.id, None)
            }
        };
        if let Some(Hold::Filter(filter)) = &self.hold {
            match filter.runs(&*self.kernel, ifindex) {
                Ok(Some(there)) if there == program_id => {}
                Ok(_) => {
                    let why = "the interface has no filter any more that runs the program";
                    return Err(self.gone(why));
                }
                Err(error) if error.errno == ENODEV => {
                    return Err(self.gone("the interface is gone, and the program with it"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let slot = self.slot_now(ifindex, program_id)?;
        Ok(Effective { engine: slot.engine(), hook: slot.hook(), program_id, link_id })
    }

    fn engine(&self) -> EngineKind {
        self.slot.engine()
    }

    fn ifindex(&self) -> u32 {
        self.device.ifindex
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        self.maps.named(name)
    }

    fn maps(&self) -> Vec<MapHandle> {
        self.maps.own.clone()
    }

    fn stats(&self) -> Result<Option<Stats>, Error> {
        self.maps.counters.as_ref().map(|counters| Stats::read(&**counters)).transpose()
    }

    fn events(&self) -> Result<BTreeMap<&'static str, u64>, Error> {
        match &self.maps.events {
            Some((map, names)) => attach::events(&**map, names),
            None => Ok(BTreeMap::new()),
        }
    }

    fn readdress(&self, address: [u8; 6]) -> Result<(), Error> {
        let Some(map) = &self.maps.address else { return Ok(()) };
        let [a, b, c, d, e, f] = address;
        map.update(&[0; 4], &[a, b, c, d, e, f, 0, 0])
    }

    fn replace(&mut self, next: Box<dyn Prepared>) -> Result<(), Error> {
        let next: Box<dyn std::any::Any> = next;
        let other = |what: &str| {
            Gap::new("replace-mismatch", format!("the new program was prepared for {what}"))
                .remedy("prepare it with the same engine for the same interface")
        };
        let place = (self.slot, self.namespace, self.device.ifindex);
        // Not left to the kernel, which takes a program bound to one device for another's.
        let mut next = match next.downcast::<KernelPrepared>() {
            Ok(next) if (next.slot, next.namespace, next.device.ifindex) == place => next,
            Ok(next) => {
                let elsewhere = match next.namespace == self.namespace {
                    true => "",
                    false => " in another network namespace",
                };
                let engine = Wanted::at(next.slot.engine(), next.slot.hook());
                let what = format!("the {engine} engine on {}{elsewhere}", next.device.name);
                return Err(self.refuser().refused(other(&what)));
            }
            Err(_) => return Err(self.refuser().refused(other("another provider's engine"))),
        };
        let Some(hold) = &mut self.hold else {
            return Err(self.gone("the program was detached"));
        };
        let old = Identified::of(&*self.kernel, self.program.as_fd())?;
        let pins = next.loaded.commit(&*self.kernel).map_err(|e| next.refuser().load(e))?;
        let new = next.loaded.program.as_fd();
        if let Err(error) = hold.swap(&*self.kernel, new, old, &next.refuser()) {
            loader::withdraw(&*self.kernel, &pins);
            return Err(error);
        }
        let name = std::mem::replace(&mut self.name, next.program);
        let program = std::mem::replace(&mut self.program, next.loaded.program);
        let maps = std::mem::replace(&mut self.maps, next.maps);
        let Some(directory) = &self.pinned else { return Ok(()) };
        self.pin(directory).inspect_err(|_| {
            loader::withdraw(&*self.kernel, &pins);
            if self.swap(program.as_fd()).is_ok() {
                (self.name, self.program, self.maps) = (name, program, maps);
            }
        })
    }

    fn detach(mut self: Box<Self>) -> Result<(), Error> {
        self.take_off().map_err(|e| self.refuser().attach(e))
    }

    fn release(mut self: Box<Self>) {
        if self.pinned.is_some() {
            self.hold = None;
        }
    }
}

impl Drop for KernelAttachment {
    fn drop(&mut self) {
        // Pinned: told to stay. Otherwise a failure has nobody to go to: `detach` is for those who
        // want to know, and a link of our own goes with its descriptor in any case.
        if self.pinned.is_none() {
            drop(self.take_off());
        }
    }
}

/// Takes charge of a program that an earlier process left running: its maps, its counters, its
/// replacement and its end. Dropping the attachment leaves the program running.
///
/// # Errors
/// The pins could not be opened.
pub fn adopt(
    kernel: &Arc<dyn Kernel>,
    kept: &Kept,
    device: &Device,
) -> Result<Box<dyn Attachment>, Error> {
    let missing = || Error::Input {
        what: format!("{} holds no program", kept.path.display()),
        hint: Some("hoist status lists what is attached".to_owned()),
    };
    let program = kernel.get_pinned(&kept.program())?.ok_or_else(missing)?;
    let info = kernel.program_info(program.as_fd())?;
    let hold = match (kernel.get_pinned(&kept.link())?, kept.slot) {
        (Some(link), _) => Hold::Adopted(link),
        (None, Slot::ClsactIngress | Slot::HwClsact) => {
            let made_qdisc = pins::made_qdisc(&**kernel, &kept.path)?;
            Hold::Filter(Filter::found(
                &**kernel,
                (device.ifindex, kept.slot),
                info.id,
                made_qdisc,
            )?)
        }
        (None, _) => Hold::Netlink,
    };
    let mut maps = Maps::default();
    for (name, fd) in kept.open_maps(&**kernel)? {
        let handle = KernelMap::found(kernel, fd, name)?.handle();
        if handle.def().name == count::MAP_NAME {
            maps.counters = Some(handle);
        } else {
            maps.own.push(handle);
        }
    }
    Ok(Box::new(KernelAttachment {
        kernel: Arc::clone(kernel),
        slot: kept.slot,
        namespace: kept.namespace,
        device: device.clone(),
        name: info.name,
        program,
        maps,
        hold: Some(hold),
        pinned: Some(kept.path.clone()),
    }))
}
