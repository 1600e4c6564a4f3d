//! One map, made twice: by the kernel and by the userspace engine.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};

use hoist_bpf::kernel::{Kernel as _, KernelError, Linux, MapSpec};
use hoist_bpf::module::{Map, MapId, Module, ProgramId};
use hoist_fallback::userspace::maps::{Errno, Failure, Found, Maps, Options};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::program::Programs;

/// The map that is compared; an inner map's template, where there is one, comes after it.
pub(crate) const MAP: MapId = MapId(0);
const ENOENT: i32 = 2;

/// Something done to a map.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Lookup(Vec<u8>),
    Update(Vec<u8>, Vec<u8>, u64),
    Delete(Vec<u8>),
    Next(Option<Vec<u8>>),
    /// The same by a program: `bpf_map_lookup_elem` and so on.
    ProgramLookup(Vec<u8>),
    ProgramUpdate(Vec<u8>, Vec<u8>, u64),
    ProgramDelete(Vec<u8>),
    Push(Vec<u8>, u64),
    Pop,
    Peek,
    Freeze,
}

/// What came of it: an error number or 0, and what was read.
pub(crate) type Outcome = (i32, Vec<u8>);
/// Keys, and what came of looking them up.
pub(crate) type Contents = Vec<(Vec<u8>, Outcome)>;

/// A map and its twin.
pub(crate) struct Both {
    linux: Linux,
    fd: OwnedFd,
    programs: Programs,
    ours: Maps,
    value_bytes: usize,
    key_size: usize,
    value_size: usize,
}

/// Runs on the first CPU only, as the userspace engine says that it does.
pub(crate) fn pin() {
    let mut set = CpuSet::new();
    set.set(0);
    sched_setaffinity(None, &set).unwrap();
}

/// A module of nothing but maps.
pub(crate) fn module(maps: Vec<Map>) -> Module {
    Module {
        name: "maps".to_owned(),
        license: String::new(),
        programs: Vec::new(),
        functions: Vec::new(),
        maps,
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}

/// A map's definition.
pub(crate) fn map(kind: u32, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> Map {
    let name = format!("kind{kind}");
    Map { name, kind, key_size, value_size, max_entries, flags, ..Map::default() }
}

/// The userspace engine's maps for these definitions.
pub(crate) fn ours(maps: Vec<Map>, cpus: usize) -> Result<Maps, String> {
    let wanted: BTreeMap<_, _> = (0..maps.len()).map(|at| (MapId(at as u32), Vec::new())).collect();
    let interfaces = Some(BTreeSet::from([1]));
    let options = Options { cpus: cpus as u32, interfaces };
    Maps::new(&module(maps), ProgramId(0), &wanted, &options)
        .map_err(|gaps| gaps.into_iter().map(|gap| gap.message).collect())
}

/// The kernel's map, with a template where the definition has one.
pub(crate) fn kernels(linux: &Linux, map: &Map) -> Result<OwnedFd, KernelError> {
    let template = map.inner.as_ref().map(|inner| kernels(linux, inner)).transpose()?;
    linux.create_map(&MapSpec {
        name: map.name.clone(),
        kind: map.kind,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
        extra: map.extra,
        inner: template.as_ref().map(|fd| fd.as_fd()),
        ..MapSpec::default()
    })
}

impl Both {
    pub(crate) fn new(map: &Map) -> Self {
        pin();
        let linux = Linux::new().unwrap();
        let cpus = linux.possible_cpus().unwrap();
        let fd = kernels(&linux, map).unwrap();
        let mut ours = ours(vec![map.clone()], cpus).unwrap();
        let value_bytes = ours.user().value_bytes(MAP).unwrap();
        let programs = Programs::new(&linux, &fd, map);
        let (key_size, value_size) = (map.key_size as usize, map.value_size as usize);
        Self { linux, fd, programs, ours, value_bytes, key_size, value_size }
    }

    /// Bytes of a value for user space.
    pub(crate) const fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Does it to both.
    pub(crate) fn act(&mut self, action: &Action) -> (Outcome, Outcome) {
        (self.by_kernel(action), self.by_us(action))
    }

    /// Everything in both, in the order in which each shows it.
    pub(crate) fn contents(&mut self) -> (Contents, Contents) {
        let mut all = [Vec::new(), Vec::new()];
        for (who, entries) in all.iter_mut().enumerate() {
            let mut key = None;
            loop {
                let next = self.by(who, &Action::Next(key));
                if next.0 != 0 || entries.len() > 10_000 {
                    break;
                }
                let value = self.by(who, &Action::Lookup(next.1.clone()));
                entries.push((next.1.clone(), value));
                key = Some(next.1);
            }
        }
        let [kernel, ours] = all;
        (kernel, ours)
    }

    fn by(&mut self, who: usize, action: &Action) -> Outcome {
        if who == 0 { self.by_kernel(action) } else { self.by_us(action) }
    }

    fn by_kernel(&self, action: &Action) -> Outcome {
        let (linux, fd) = (&self.linux, self.fd.as_fd());
        let found = |found: Result<Option<Vec<u8>>, KernelError>| match found {
            Ok(Some(bytes)) => (0, bytes),
            Ok(None) => (ENOENT, Vec::new()),
            Err(error) => (error.errno, Vec::new()),
        };
        let done =
            |done: Result<(), KernelError>| (done.map_or_else(|e| e.errno, |()| 0), Vec::new());
        match action {
            Action::Lookup(key) => found(linux.map_lookup(fd, key, self.value_bytes)),
            Action::Update(key, value, flags) => done(linux.map_update(fd, key, value, *flags)),
            Action::Delete(key) => match linux.map_delete(fd, key) {
                Ok(true) => (0, Vec::new()),
                Ok(false) => (ENOENT, Vec::new()),
                Err(error) => (error.errno, Vec::new()),
            },
            Action::Next(key) => found(linux.map_next_key(fd, key.as_deref(), self.key_size)),
            Action::Freeze => done(linux.map_freeze(fd)),
            by_program => self.programs.run(linux, by_program),
        }
    }

    fn by_us(&mut self, action: &Action) -> Outcome {
        let value_size = self.value_size;
        let read = |read: Result<Vec<u8>, Errno>| match read {
            Ok(bytes) => (0, bytes),
            Err(errno) => (errno.0, Vec::new()),
        };
        let done = |done: Result<(), Errno>| (done.map_or_else(|e| e.0, |()| 0), Vec::new());
        let helped = |helped: Result<(), Failure>| match helped {
            Ok(()) => (0, Vec::new()),
            Err(Failure::Errno(errno)) => (errno.0, Vec::new()),
            Err(Failure::Denied(denied)) => panic!("{denied}"),
        };
        let outcome = match action {
            Action::Lookup(key) => read(self.ours.user().lookup(MAP, key, 0)),
            Action::Update(key, value, flags) => {
                done(self.ours.user().update(MAP, key, value, *flags))
            }
            Action::Delete(key) => done(self.ours.user().delete(MAP, key)),
            Action::Next(key) => match self.ours.user().next_key(MAP, key.as_deref()) {
                Ok(Some(next)) => (0, next),
                Ok(None) => (ENOENT, Vec::new()),
                Err(errno) => (errno.0, Vec::new()),
            },
            Action::Freeze => done(self.ours.user().freeze(MAP)),
            Action::ProgramLookup(key) => match self.ours.lookup(MAP, key).unwrap() {
                Some(Found::Value(address)) => {
                    let offset = address & ((1 << 48) - 1);
                    let value = self.ours.value(MAP, offset, value_size as u64).unwrap();
                    (0, value.to_vec())
                }
                Some(found) => panic!("{found:?}"),
                None => (ENOENT, Vec::new()),
            },
            Action::ProgramUpdate(key, value, flags) => {
                helped(self.ours.update(MAP, key, value, *flags))
            }
            Action::ProgramDelete(key) => helped(self.ours.delete(MAP, key)),
            Action::Push(value, flags) => helped(self.ours.push(MAP, value, *flags)),
            Action::Pop | Action::Peek => {
                let mut value = vec![0xaa; value_size];
                let outcome = match action {
                    Action::Pop => helped(self.ours.pop(MAP, &mut value)),
                    _ => helped(self.ours.peek(MAP, &mut value)),
                };
                (outcome.0, value)
            }
        };
        self.ours.end_run();
        outcome
    }
}
