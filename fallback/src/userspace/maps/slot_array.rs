//! Arrays of programs and of maps (`fd_array_map_*` of `kernel/bpf/arraymap.c`).
//!
//! An empty slot is 0; another holds an index in the module plus one.

use hoist_bpf::module::{MapId, ProgramId};
use hoist_offload::attach::MapDef;

use super::Errno;
use super::array::{index, next_index};
use super::flags::update;
use super::memory::Memory;
use super::table::{Place, Table, World};

/// One array of references.
#[derive(Debug)]
pub(super) struct SlotArray {
    memory: Memory,
    entries: u32,
    /// What inner maps must be like; `None` for an array of programs.
    inner: Option<MapDef>,
}

impl SlotArray {
    pub(super) fn new(def: &MapDef, inner: Option<MapDef>) -> Result<Self, Errno> {
        let memory = Memory::reserve(4 * u64::from(def.max_entries))?;
        Ok(Self { memory, entries: def.max_entries, inner })
    }

    fn get(&self, index: u32) -> Option<u32> {
        if index >= self.entries {
            return None;
        }
        let bytes = self.memory.bytes(4 * u64::from(index), 4);
        bytes.try_into().map_or(0, u32::from_ne_bytes).checked_sub(1)
    }

    fn set(&mut self, index: u32, value: &[u8]) {
        self.memory.bytes_mut(4 * u64::from(index), 4).copy_from_slice(value);
    }
}

impl Table for SlotArray {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    #[inline]
    fn lookup(&mut self, key: &[u8], _cpu: u32) -> Option<Place> {
        self.get(index(key)).map(|map| Place::Map(MapId(map)))
    }

    #[inline]
    fn program(&self, index: u32) -> Option<ProgramId> {
        if self.inner.is_some() { None } else { self.get(index).map(ProgramId) }
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let held = self.get(index(key)).ok_or(Errno::ENOENT)?;
        value.extend_from_slice(&(held + 1).to_ne_bytes());
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        if flags != update::ANY {
            return Err(Errno::EINVAL);
        }
        let index = index(key);
        if index >= self.entries {
            return Err(Errno::E2BIG);
        }
        match &self.inner {
            Some(inner) => drop(world.inner(inner, value)?),
            None => drop(world.program(super::array::index(value))?),
        }
        self.set(index, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let index = index(key);
        if index >= self.entries {
            return Err(Errno::E2BIG);
        }
        self.get(index).ok_or(Errno::ENOENT)?;
        self.set(index, &[0; 4]);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        next_index(self.entries, key, next)
    }
}
