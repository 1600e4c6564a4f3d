//! clsact ingress: a cls_bpf filter, which the interface holds. There are no links to filters: a
//! process of its own takes the filter off when whoever runs the program is gone.

use std::os::fd::{BorrowedFd, OwnedFd};

use hoist_bpf::kernel::{FilterKey, Kernel, KernelError};

use super::{Identified, mismatch};
use crate::device::Slot;
use crate::error::Error;
use crate::kernel_program::refusal::{ENOENT, EPERM, Refuser};

/// Where hoist's filter goes: first of all (0 would let the kernel choose the last place), under a
/// handle of its own ("hoist" would not fit).
const KEY: FilterKey = FilterKey { priority: 1, handle: 0x686f_6973 };
/// The same for one that the NIC runs: the host may have one of its own beside it.
const KEY_IN_NIC: FilterKey = FilterKey { priority: 1, handle: 0x686f_6977 };

const fn key(slot: Slot) -> FilterKey {
    match slot {
        Slot::HwClsact => KEY_IN_NIC,
        _ => KEY,
    }
}

/// A filter of an interface's clsact qdisc.
#[derive(Debug)]
pub(in crate::kernel_program) struct Filter {
    key: FilterKey,
    /// Takes the filter off when it is closed; `None` when the filter is to stay.
    watcher: Option<OwnedFd>,
    /// The qdisc was added for the filter.
    pub(in crate::kernel_program) made_qdisc: bool,
}

impl Filter {
    /// Adds the filter, or takes over the one that runs the program to be replaced. Until
    /// [`Filter::let_stay`] it goes with this process. `made_qdisc`: the qdisc was added for the program
    /// to be replaced, which leaves it to this one.
    pub(super) fn take(
        kernel: &dyn Kernel,
        program: BorrowedFd<'_>,
        refuser: &Refuser<'_>,
        replace: Option<u32>,
        made_qdisc: bool,
    ) -> Result<Self, Error> {
        let ifindex = refuser.device.ifindex;
        let new = Identified::of(kernel, program)?;
        if let Some(old) = replace {
            let there = kernel.filters(ifindex).map_err(|e| refuser.attach(e))?;
            let Some(found) = there.iter().find(|f| f.program_id == Some(old)) else {
                let ids: Vec<u32> = there.iter().filter_map(|f| f.program_id).collect();
                return Err(refuser.refused(mismatch(refuser, old, &ids)));
            };
            let mut filter = Self { key: found.key, watcher: None, made_qdisc };
            filter.watch(kernel, ifindex, new.id).map_err(|e| refuser.attach(e))?;
            filter.exchange(kernel, program, old, refuser)?;
            return Ok(filter);
        }
        let made_qdisc = kernel.add_clsact(ifindex).map_err(|e| refuser.attach(e))?;
        let key = key(refuser.slot);
        let mut filter = Self { key, watcher: None, made_qdisc };
        // The process first: whatever ends this one after the filter is there ends the filter.
        let added = filter
            .watch(kernel, ifindex, new.id)
            .and_then(|()| kernel.add_filter(ifindex, key, program, &refuser.filter_name()));
        added.map_err(|error| {
            // With the reason at hand, what is left of the attempt is only tidied up.
            if made_qdisc {
                drop(kernel.remove_clsact(ifindex));
            }
            let there = kernel.filters(ifindex).unwrap_or_default();
            refuser.filter(error, key, &there)
        })?;
        Ok(filter)
    }

    /// One that stays already.
    pub(in crate::kernel_program) fn found(
        kernel: &dyn Kernel,
        (ifindex, slot): (u32, Slot),
        program_id: u32,
        made_qdisc: bool,
    ) -> Result<Self, KernelError> {
        let there = kernel.filters(ifindex)?;
        let found = there.iter().find(|f| f.program_id == Some(program_id));
        Ok(Self { key: found.map_or(key(slot), |f| f.key), watcher: None, made_qdisc })
    }

    fn watch(
        &mut self,
        kernel: &dyn Kernel,
        ifindex: u32,
        program_id: u32,
    ) -> Result<(), KernelError> {
        let watcher = kernel.watch_filter(ifindex, self.key, program_id, self.made_qdisc)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Swaps the program. A process that waits for the end of the old one is followed by one that
    /// waits for the end of the new.
    pub(super) fn swap(
        &mut self,
        kernel: &dyn Kernel,
        new: BorrowedFd<'_>,
        old: u32,
        refuser: &Refuser<'_>,
    ) -> Result<(), Error> {
        let before = self.watcher.take();
        if before.is_some() {
            let id = Identified::of(kernel, new)?.id;
            if let Err(error) = self.watch(kernel, refuser.device.ifindex, id) {
                self.watcher = before;
                return Err(refuser.attach(error));
            }
        }
        self.exchange(kernel, new, old, refuser).inspect_err(|_| self.watcher = before)
    }

    fn exchange(
        &self,
        kernel: &dyn Kernel,
        new: BorrowedFd<'_>,
        old: u32,
        refuser: &Refuser<'_>,
    ) -> Result<(), Error> {
        let ifindex = refuser.device.ifindex;
        let name = refuser.filter_name();
        kernel.replace_filter(ifindex, self.key, old, new, &name).map_err(|error| {
            if !matches!(error.errno, EPERM | ENOENT) {
                return refuser.attach(error);
            }
            let there = kernel.filters(ifindex).unwrap_or_default();
            let now = there.iter().find(|f| f.key == self.key).and_then(|f| f.program_id);
            match now == Some(old) {
                true => refuser.attach(error),
                false => refuser.refused(mismatch(refuser, old, now.as_slice())),
            }
        })
    }

    /// Takes the filter off, if it is still ours, and the qdisc, if it is still ours and empty.
    pub(super) fn detach(
        &self,
        kernel: &dyn Kernel,
        ifindex: u32,
        program: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        let program = Identified::of(kernel, program)?;
        kernel.remove_filter(ifindex, self.key, program.id)?;
        if self.made_qdisc {
            kernel.remove_clsact(ifindex)?;
        }
        Ok(())
    }

    /// Dismisses the process that would take the filter off.
    pub(super) fn let_stay(&mut self, kernel: &dyn Kernel) -> Result<(), KernelError> {
        self.watcher.take().map_or(Ok(()), |watcher| kernel.unwatch_filter(watcher))
    }

    /// The program that runs at its place.
    pub(in crate::kernel_program) fn runs(
        &self,
        kernel: &dyn Kernel,
        ifindex: u32,
    ) -> Result<Option<u32>, KernelError> {
        let there = kernel.filters(ifindex)?;
        Ok(there.iter().find(|f| f.key == self.key).and_then(|f| f.program_id))
    }
}
