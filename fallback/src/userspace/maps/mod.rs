//! Maps without a kernel: the kinds that XDP programs use, with the kernel's limits, flags and errors.
//!
//! [`Maps`] holds all maps of a machine. Its methods are what *programs* do: helpers call them, and
//! the memory of the VM resolves addresses of values through [`Maps::resolve`]. What *user space*
//! does by system calls goes through [`Maps::user`], or from another thread through a [`handle`].
//!
//! Values have VM addresses ([`super::vm::address::map_value`]): the map and the offset in its value
//! memory, which never moves.
//!
//! The machine is locked by whoever runs it, so tables need no atomics and no read-copy-update. What
//! a program can observe of the latter is kept: a value that is replaced or deleted during a run stays
//! readable under its old address until [`Maps::end_run`].

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{Module, ProgramId};
use hoist_offload::Gap;
use hoist_offload::attach::MapDef;

pub use hoist_bpf::module::MapId;

mod array;
mod bloom;
mod cpumap;
mod create;
mod denied;
mod devmap;
mod errno;
mod events;
mod fields;
mod flags;
mod handle;
mod hash;
mod key;
mod kinds;
mod limits;
mod lpm;
mod lru;
mod memory;
mod program;
mod queue;
mod reach;
mod records;
mod ringbuf;
mod slot_array;
mod slots;
mod stride;
mod table;
mod user;
mod xskmap;

pub use denied::{Denied, Failure};
pub use errno::Errno;
pub use events::Event;
pub use handle::handle;
pub use user::User;

use table::{Table, World};

/// Whether maps of a kind (`enum bpf_map_type`) can be made.
#[must_use]
pub fn has_kind(kind: u32) -> bool {
    kinds::Uses::of(kind) != kinds::Uses::NONE
}

/// How maps are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Possible CPUs: how many values a per-CPU map has for each key.
    pub cpus: u32,
    /// Interfaces that devmap entries may name; `None`: any index but 0.
    pub interfaces: Option<BTreeSet<u32>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { cpus: 1, interfaces: None }
    }
}

/// What a lookup by a program finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The VM address of the value.
    Value(u64),
    /// A map of maps: the inner map, of which the program gets the handle.
    Map(MapId),
    /// An XSK map: a socket is there; the program may compare the pointer with null only.
    Socket,
}

/// What a redirect through a map leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// A devmap's entry (`struct bpf_devmap_val`).
    Device {
        /// Interface index.
        ifindex: u32,
        /// The program that the frame meets on its way out.
        program: Option<ProgramId>,
    },
    /// A CPU map's entry (`struct bpf_cpumap_val`).
    Cpu {
        /// CPU number.
        cpu: u32,
        /// Frames that its queue holds.
        queue_size: u32,
        /// The program that the frame meets on that CPU.
        program: Option<ProgramId>,
    },
    /// An XSK map's entry.
    Socket(u32),
}

/// One step of a walk over a map, for `bpf_for_each_map_elem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// VM address of the key: readable, not writable.
    pub key: u64,
    /// VM address of the value.
    pub value: u64,
    /// Where the walk goes on.
    pub next: u32,
}

/// The value memory of a map as compiled code may use it without asking: it stays where it is for as
/// long as the [`Maps`] live.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where it begins in this process.
    pub start: NonNull<u8>,
    /// Bytes from one entry to the next.
    pub stride: u64,
    /// Bytes of one value.
    pub value_bytes: u32,
    /// Number of values. Key `k` of a plain array is at `k * stride`; a per-CPU array has the values
    /// of CPU `c` at `(c * entries + k) * stride`.
    pub entries: u32,
    /// Values live for as long as the map: an address needs to be checked for its bounds only.
    pub permanent: bool,
    /// Whether programs may read values.
    pub readable: bool,
    /// Whether programs may write values.
    pub writable: bool,
}

/// All maps of a machine.
#[derive(Debug)]
pub struct Maps {
    maps: Vec<Option<Map>>,
    world: World,
    /// Maps with values that were deleted in this run.
    dirty: Vec<MapId>,
}

/// One map.
#[derive(Debug)]
struct Map {
    table: Box<dyn Table>,
    /// Which helpers go with it.
    uses: kinds::Uses,
    /// What programs may do to values.
    readable: bool,
    writable: bool,
    /// What user space may do.
    user: user::Permissions,
    /// Offset of the `struct bpf_spin_lock` in a value.
    lock: Option<u32>,
    /// Values have no fields that are the kernel's own.
    plain: bool,
    /// Whether [`Maps::dirty`] names it.
    dirty: bool,
}

impl Maps {
    /// Makes the maps that a program of the module can reach, and gives them their first contents:
    /// data sections, initial slots, `contents`. Constants are frozen then.
    ///
    /// # Errors
    /// A gap for each map that cannot be made: its kind, or the kernel's answer to its definition.
    pub fn new(
        module: &Module,
        program: ProgramId,
        contents: &BTreeMap<MapId, Entries>,
        options: &Options,
    ) -> Result<Self, Vec<Gap>> {
        create::all(module, program, contents, options)
    }

    /// The definition of a map, with the size that creation settled on.
    #[must_use]
    pub fn def(&self, map: MapId) -> Option<&MapDef> {
        self.world.def(map)
    }

    /// Which maps there are.
    pub fn ids(&self) -> impl Iterator<Item = MapId> {
        let present = self.maps.iter().enumerate().filter(|(_, map)| map.is_some());
        present.map(|(index, _)| MapId(index as u32))
    }

    /// The map's value memory, for compiled code; `None` for kinds without one.
    #[must_use]
    pub fn region(&self, map: MapId) -> Option<Region> {
        let map = self.map(map).ok()?;
        Some(Region { readable: map.readable, writable: map.writable, ..map.table.region()? })
    }

    /// Possible CPUs: how many values a per-CPU map has for each key.
    #[must_use]
    pub const fn cpus(&self) -> u32 {
        self.world.cpus
    }

    /// The CPU that the next operations run on, below [`Options::cpus`].
    pub fn set_cpu(&mut self, cpu: u32) {
        self.world.cpu = cpu.min(self.world.cpus.saturating_sub(1));
    }

    /// The CPU that operations run on.
    #[must_use]
    pub const fn cpu(&self) -> u32 {
        self.world.cpu
    }

    /// What user space does, by `bpf(2)` on the kernel's maps.
    pub fn user(&mut self) -> User<'_> {
        User::new(self)
    }

    /// Ends a run: values that it deleted are gone.
    #[inline]
    pub fn end_run(&mut self) {
        if !self.dirty.is_empty() {
            self.release();
        }
    }

    #[cold]
    fn release(&mut self) {
        for map in std::mem::take(&mut self.dirty) {
            if let Ok(map) = self.map_mut(map) {
                map.dirty = false;
                map.table.end_run();
            }
        }
    }

    /// Byte offset of the `struct bpf_spin_lock` in the map's values, where they have one.
    #[must_use]
    pub fn lock_offset(&self, map: MapId) -> Option<u32> {
        self.map(map).ok()?.lock
    }

    #[inline]
    fn map(&self, map: MapId) -> Result<&Map, Denied> {
        self.maps.get(map.0 as usize).and_then(Option::as_ref).ok_or(Denied::NoMap(map))
    }

    #[inline]
    fn map_mut(&mut self, map: MapId) -> Result<&mut Map, Denied> {
        self.maps.get_mut(map.0 as usize).and_then(Option::as_mut).ok_or(Denied::NoMap(map))
    }
}
