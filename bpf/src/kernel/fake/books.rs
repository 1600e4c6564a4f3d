//! The books: which objects exist, who holds them, what happens when nobody does.
//!
//! A descriptor handed out is one end of a socket pair; the fake keeps the other. When every copy of
//! the descriptor is closed, the kept end reads end-of-file, and the object has one holder less,
//! just as the kernel would count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::card::BPF_F_XDP_DEV_BOUND_ONLY;
use super::slots::Interface;
use super::table::Table;
use super::tc::{Lock, Watcher};
use super::{Answer, Event, Verifier, errno};
use crate::insn::Insn;
use crate::kernel::{KernelError, ObjectKind, ProgramInfo, XdpMode};

/// An object by kind and id.
pub(super) type Object = (ObjectKind, u32);

#[derive(Debug)]
pub(super) struct Program {
    pub(super) info: ProgramInfo,
    pub(super) insns: Vec<Insn>,
    pub(super) expected_attach_type: u32,
    pub(super) flags: u32,
    /// The NIC that it was loaded for is gone.
    pub(super) orphaned: bool,
}

impl Program {
    /// Whether a NIC is to run it.
    pub(super) const fn offloaded(&self) -> bool {
        self.info.ifindex != 0 && self.flags & BPF_F_XDP_DEV_BOUND_ONLY == 0
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) program: u32,
    /// 0 once detached.
    pub(super) ifindex: u32,
    pub(super) place: Place,
}

/// What a link is attached to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Xdp(XdpMode),
    /// tcx ingress.
    Tcx,
    /// A function of another program: that program and the function's BTF id.
    Function(u32, u32),
}

/// The kernel's log, which its readers share.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Handle {
    inode: u64,
    kept: UnixStream,
    object: Object,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    last_id: u32,
    handles: Vec<Handle>,
    pub(super) programs: BTreeMap<u32, Program>,
    pub(super) maps: BTreeMap<u32, Table>,
    pub(super) btfs: BTreeMap<u32, Vec<u8>>,
    pub(super) links: BTreeMap<u32, Link>,
    pub(super) interfaces: BTreeMap<u32, Interface>,
    pub(super) watchers: Vec<Watcher>,
    pub(super) locks: Vec<Lock>,
    /// What hoist leaves itself in the file system, by directory and name.
    pub(super) notes: BTreeMap<(String, String), Vec<u8>>,
    pub(super) pins: BTreeMap<PathBuf, Object>,
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) failures: VecDeque<KernelError>,
    pub(super) journal: Vec<Event>,
    pub(super) verifier: Option<Verifier>,
    pub(super) answer: Option<Answer>,
    /// The kernel's log.
    pub(super) log: Log,
    pub(super) kernel_btf: Option<Vec<u8>>,
    pub(super) cpus: usize,
    pub(super) namespace: u64,
    pub(super) tcx: bool,
}

impl Books {
    /// Fails if the next failure in line is for this operation.
    pub(super) fn may(&mut self, operation: &str) -> Result<(), KernelError> {
        let position = self.failures.iter().position(|failure| failure.operation == operation);
        position.and_then(|at| self.failures.remove(at)).map_or(Ok(()), Err)
    }

    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// A new descriptor for an object.
    pub(super) fn hand_out(&mut self, object: Object) -> Result<OwnedFd, KernelError> {
        let refused = |error| KernelError::io("socketpair", "descriptor", &error);
        let (kept, given) = UnixStream::pair().map_err(refused)?;
        kept.set_nonblocking(true).map_err(refused)?;
        let given = OwnedFd::from(given);
        let inode = inode(given.as_fd()).map_err(refused)?;
        self.handles.push(Handle { inode, kept, object });
        Ok(given)
    }

    /// The object of a kind behind a descriptor.
    pub(super) fn behind(
        &self,
        fd: BorrowedFd<'_>,
        kind: ObjectKind,
        operation: &str,
    ) -> Result<u32, KernelError> {
        match inode(fd).ok().and_then(|inode| self.by_inode(inode)) {
            Some((found, id)) if found == kind => Ok(id),
            Some(_) => Err(KernelError::new(operation, "descriptor", errno::EINVAL)),
            None => Err(KernelError::new(operation, "descriptor", errno::EBADF)),
        }
    }

    /// The object behind a descriptor of any kind.
    pub(super) fn any_behind(&self, fd: BorrowedFd<'_>) -> Option<Object> {
        self.by_inode(inode(fd).ok()?)
    }

    /// The object behind a descriptor given as a number, as instructions and map values do.
    pub(super) fn by_number(&self, fd: i32) -> Option<Object> {
        self.by_inode(fs::metadata(format!("/proc/self/fd/{fd}")).ok()?.ino())
    }

    fn by_inode(&self, inode: u64) -> Option<Object> {
        self.handles.iter().find(|handle| handle.inode == inode).map(|handle| handle.object)
    }

    /// Lets go of everything that nobody holds any more.
    pub(super) fn collect(&mut self) {
        self.collect_owners();
        self.handles.retain_mut(|handle| !matches!(handle.kept.read(&mut [0]), Ok(0)));
        let mut held: BTreeSet<Object> = self.handles.iter().map(|h| h.object).collect();
        held.extend(self.pins.values());
        let dead = |kind, ids: Vec<u32>, held: &BTreeSet<Object>| -> Vec<u32> {
            ids.into_iter().filter(|id| !held.contains(&(kind, *id))).collect()
        };
        for id in dead(ObjectKind::Link, self.links.keys().copied().collect(), &held) {
            self.release(id);
            self.links.remove(&id);
        }
        held.extend(self.links.values().map(|link| (ObjectKind::Program, link.program)));
        held.extend(self.interfaces.values().flat_map(Interface::programs));
        held.extend(self.maps.values().flat_map(Table::holds));
        for id in dead(ObjectKind::Program, self.programs.keys().copied().collect(), &held) {
            self.programs.remove(&id);
        }
        for program in self.programs.values() {
            held.extend(program.info.map_ids.iter().map(|id| (ObjectKind::Map, *id)));
            held.insert((ObjectKind::Btf, program.info.btf_id));
        }
        for id in dead(ObjectKind::Map, self.maps.keys().copied().collect(), &held) {
            self.maps.remove(&id);
        }
        held.extend(self.maps.values().map(|map| (ObjectKind::Btf, map.info.btf_id)));
        for id in dead(ObjectKind::Btf, self.btfs.keys().copied().collect(), &held) {
            self.btfs.remove(&id);
        }
    }

    pub(super) fn program(&self, id: u32) -> Result<&Program, KernelError> {
        let gone = || KernelError::new("bpf", format!("program {id}"), errno::ENOENT);
        self.programs.get(&id).ok_or_else(gone)
    }

    pub(super) fn ids(&self, kind: ObjectKind) -> Vec<u32> {
        match kind {
            ObjectKind::Program => self.programs.keys().copied().collect(),
            ObjectKind::Map => self.maps.keys().copied().collect(),
            ObjectKind::Btf => self.btfs.keys().copied().collect(),
            ObjectKind::Link => self.links.keys().copied().collect(),
        }
    }
}

fn inode(fd: BorrowedFd<'_>) -> std::io::Result<u64> {
    Ok(File::from(fd.try_clone_to_owned()?).metadata()?.ino())
}
