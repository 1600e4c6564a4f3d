//! What every kind of map does: the kernel's `struct bpf_map_ops`.

use std::collections::BTreeSet;
use std::fmt;

use hoist_bpf::module::{MapId, ProgramHint, ProgramId};
use hoist_offload::attach::MapDef;

use super::events::Events;
use super::flags::{create, kind};
use super::memory::Memory;
use super::ringbuf::Ringbuf;
use super::{Denied, Errno, Found, Redirect, Region};
use crate::userspace::vm::address::map_value;

/// What maps know of the machine and of each other.
#[derive(Debug)]
pub(super) struct World {
    /// Definitions, by map.
    pub(super) defs: Vec<Option<MapDef>>,
    /// What the programs of the module are for.
    pub(super) programs: Vec<ProgramHint>,
    /// Possible CPUs.
    pub(super) cpus: u32,
    /// The CPU that operations run on.
    pub(super) cpu: u32,
    /// Interfaces there are; `None`: any.
    pub(super) interfaces: Option<BTreeSet<u32>>,
}

impl World {
    pub(super) fn def(&self, map: MapId) -> Option<&MapDef> {
        self.defs.get(map.0 as usize)?.as_ref()
    }

    /// The program a value names: its index plus one stands for a descriptor.
    pub(super) fn program(&self, value: u32) -> Result<ProgramId, Errno> {
        let index = value.checked_sub(1).ok_or(Errno::EBADF)?;
        if (index as usize) < self.programs.len() {
            Ok(ProgramId(index))
        } else {
            Err(Errno::EBADF)
        }
    }

    /// The program a value names, if it is for entries of that kind of map
    /// (`expected_attach_type`).
    pub(super) fn program_for(&self, value: u32, hint: ProgramHint) -> Option<ProgramId> {
        let program = self.program(value).ok()?;
        (self.programs[program.0 as usize] == hint).then_some(program)
    }

    /// The map a value names (`bpf_map_fd_get_ptr`), which must be like the template
    /// (`bpf_map_meta_equal`, `array_map_meta_equal`).
    pub(super) fn inner(&self, template: &MapDef, value: &[u8]) -> Result<MapId, Errno> {
        let value = value.try_into().map_or(0, u32::from_ne_bytes);
        let map = MapId(value.checked_sub(1).ok_or(Errno::EBADF)?);
        let def = self.def(map).ok_or(Errno::EBADF)?;
        let sized = matches!(def.kind, kind::ARRAY | kind::XSKMAP)
            && template.flags & create::INNER_MAP == 0;
        let like = def.kind == template.kind
            && def.key_size == template.key_size
            && def.value_size == template.value_size
            && def.flags == template.flags
            && (!sized || def.max_entries == template.max_entries);
        if like { Ok(map) } else { Err(Errno::EINVAL) }
    }

    pub(super) fn has_interface(&self, ifindex: u32) -> bool {
        self.interfaces.as_ref().map_or(ifindex != 0, |known| known.contains(&ifindex))
    }
}

/// Where a lookup leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Offset in the value memory.
    Value(u64),
    /// A map of maps' inner map.
    Map(MapId),
    /// An XSK map's socket.
    Socket,
}

impl Place {
    pub(super) const fn found(self, map: MapId) -> Found {
        match self {
            Self::Value(offset) => Found::Value(map_value(map, offset)),
            Self::Map(inner) => Found::Map(inner),
            Self::Socket => Found::Socket,
        }
    }
}

/// Why an offset is not one that a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Not within the value that lies between these offsets.
    Outside {
        /// First offset.
        low: u64,
        /// Behind the last one.
        high: u64,
    },
    /// For reading only.
    ReadOnly,
    /// No value is there any more.
    Gone,
    /// Programs get no addresses in this kind of map.
    Closed,
}

impl Wrong {
    pub(super) const fn of(self, map: MapId) -> Denied {
        match self {
            Self::Outside { low, high } => Denied::OutOfBounds { map, low, high },
            Self::ReadOnly => Denied::ReadOnly(map),
            Self::Gone => Denied::UseAfterDelete(map),
            Self::Closed => Denied::NoMap(map),
        }
    }
}

/// A step of a walk: offsets of key and value, and where to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) next: u32,
}

/// One map's entries. Keys and values have the sizes of the map's definition, which the callers make
/// sure of. What a kind does not have, programs cannot reach ([`super::kinds`]), and user space gets
/// the errors that are the defaults here.
pub(super) trait Table: fmt::Debug + Send {
    /// See [`Region`]; the permissions are filled in by the caller.
    fn region(&self) -> Option<Region> {
        None
    }

    /// The value memory.
    fn memory(&self) -> &Memory;

    /// The value memory, to write.
    fn memory_mut(&mut self) -> &mut Memory;

    /// Whether a program may use these bytes of the value memory. What it lets pass is within it.
    fn check(&self, _offset: u64, _len: u64, _write: bool) -> Result<(), Wrong> {
        Err(Wrong::Closed)
    }

    /// Bytes of the value memory for a program to read.
    #[inline]
    fn bytes(&self, offset: u64, len: u64) -> Result<&[u8], Wrong> {
        self.check(offset, len, false)?;
        Ok(self.memory().bytes(offset, len as usize))
    }

    /// Bytes of the value memory for a program to write.
    #[inline]
    fn bytes_mut(&mut self, offset: u64, len: u64) -> Result<&mut [u8], Wrong> {
        self.check(offset, len, true)?;
        Ok(self.memory_mut().bytes_mut(offset, len as usize))
    }

    /// `map_lookup_elem` for the values of `cpu`.
    fn lookup(&mut self, _key: &[u8], _cpu: u32) -> Option<Place> {
        None
    }

    /// `map_update_elem` as programs call it: a per-CPU value is the current CPU's.
    fn update(
        &mut self,
        _key: &[u8],
        _value: &[u8],
        _flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `map_delete_elem`.
    fn delete(&mut self, _key: &[u8], _world: &World) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `map_push_elem`.
    fn push(&mut self, _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `map_pop_elem`; the kernel zeroes the value where there is none.
    fn pop(&mut self, _value: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `map_peek_elem`; a Bloom filter reads the value instead.
    fn peek(&mut self, _value: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `map_for_each_callback`: the entry at or after `position`.
    fn step(&mut self, _position: u32, _cpu: u32) -> Option<Step> {
        None
    }

    /// What a redirect through the entry leads to.
    fn redirect(&self, _key: u32) -> Option<Redirect> {
        None
    }

    /// What a broadcast leads to.
    fn redirects(&self) -> Vec<Redirect> {
        Vec::new()
    }

    /// The program in a slot.
    fn program(&self, _index: u32) -> Option<ProgramId> {
        None
    }

    /// The table as a ring buffer.
    fn ringbuf(&mut self) -> Option<&mut Ringbuf> {
        None
    }

    /// The table as a perf event array.
    fn events(&mut self) -> Option<&mut Events> {
        None
    }

    /// `BPF_MAP_LOOKUP_ELEM` (`bpf_map_copy_value`): appends the value to `value`.
    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno>;

    /// `BPF_MAP_UPDATE_ELEM` (`bpf_map_update_value`): a per-CPU value holds all CPUs'.
    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        self.update(key, value, flags, world)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`.
    fn take(&mut self, _key: &[u8], _value: &mut Vec<u8>, _world: &World) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// `BPF_MAP_GET_NEXT_KEY`: appends the key after `key`, `ENOENT` at the end.
    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno>;

    /// Whether a value was deleted since the last end of a run.
    fn is_dirty(&self) -> bool {
        false
    }

    /// Values that were deleted may be used again.
    fn end_run(&mut self) {}
}
