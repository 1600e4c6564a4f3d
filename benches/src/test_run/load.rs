//! From an object to a loaded program with filled maps.

use std::collections::BTreeMap;

use hoist_bpf::Module;
use hoist_bpf::kernel::loader::{
    self, ATTACH_TYPE_XDP, LoadError, LoadSpec, Loaded, PROG_TYPE_XDP,
};
use hoist_bpf::kernel::{Entries, Kernel};
use hoist_bpf::module::{MapId, ProgramId};
use hoist_bpf::parse::{ParseError, SelectError, Selector};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const PROG_TYPE_SCHED_CLS: u32 = 3;

/// What a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `BPF_PROG_TYPE_XDP`.
    Xdp,
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    Tc,
}

/// A program that can be loaded again and again, each time with fresh maps.
#[derive(Clone, Debug)]
pub struct Source {
    module: Module,
    program: ProgramId,
    kind: Kind,
    contents: BTreeMap<MapId, Entries>,
}

/// One entry of a map, by the map's name: name, key, value.
pub type Entry = (&'static str, Vec<u8>, Vec<u8>);

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The object could not be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The object does not hold the program.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The object does not hold a map to be filled.
    #[error("{module} has no map {map} to fill")]
    NoSuchMap {
        /// The object.
        module: String,
        /// The map.
        map: &'static str,
    },
    /// The kernel's refusal.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Source {
    /// The program `program` of an object file, with entries for its maps.
    ///
    /// # Errors
    /// The object is damaged, or lacks the program or a map.
    pub fn object(
        object: &[u8],
        program: &str,
        kind: Kind,
        entries: &[Entry],
    ) -> Result<Self, LoadFailure> {
        let module = Module::parse(program, object)?;
        let id = module.select(&Selector { program: Some(program.to_owned()), section: None })?;
        Self::module(module, id, kind, entries)
    }

    /// A program of a module, with entries for its maps.
    ///
    /// # Errors
    /// The module lacks a map.
    pub fn module(
        module: Module,
        program: ProgramId,
        kind: Kind,
        entries: &[Entry],
    ) -> Result<Self, LoadFailure> {
        let mut contents: BTreeMap<MapId, Entries> = BTreeMap::new();
        for (name, key, value) in entries {
            let index =
                module.maps.iter().position(|map| map.name == *name).ok_or_else(|| {
                    LoadFailure::NoSuchMap { module: module.name.clone(), map: name }
                })?;
            contents.entry(MapId(index as u32)).or_default().push((key.clone(), value.clone()));
        }
        Ok(Self { module, program, kind, contents })
    }

    /// What it is loaded as.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.module.program(self.program).name
    }

    pub(super) fn load(&self, kernel: &dyn Kernel) -> Result<Loaded, LoadFailure> {
        let (kind, attach_type) = match self.kind {
            Kind::Xdp => (PROG_TYPE_XDP, ATTACH_TYPE_XDP),
            Kind::Tc => (PROG_TYPE_SCHED_CLS, 0),
        };
        let spec = LoadSpec {
            module: &self.module,
            program: self.program,
            kind,
            attach_type,
            binding: None,
            pin_root: None,
            contents: &self.contents,
        };
        Ok(loader::load(kernel, &spec)?)
    }
}
