//! What programs do to maps: the helpers' side.

use std::ptr::NonNull;

use hoist_bpf::module::{MapId, ProgramId};

use super::kinds::Uses;
use super::{Denied, Failure, Found, Map, Maps, Redirect, Visit};
use crate::userspace::vm::address::map_value;
use crate::userspace::vm::fault::{Access, FaultKind};

impl Maps {
    /// `len` bytes at `offset` of a map's value memory, for a program to read.
    ///
    /// # Errors
    /// The access is not one that the verifier would have let the program make.
    #[inline]
    pub fn value(&self, map: MapId, offset: u64, len: u64) -> Result<&[u8], FaultKind> {
        self.read(map, offset, len).map_err(|denied| denied.fault(access(map, offset, len, false)))
    }

    /// `len` bytes at `offset` of a map's value memory, for a program to write.
    ///
    /// # Errors
    /// The access is not one that the verifier would have let the program make.
    #[inline]
    pub fn value_mut(&mut self, map: MapId, offset: u64, len: u64) -> Result<&mut [u8], FaultKind> {
        self.written(map, offset, len)
            .map_err(|denied| denied.fault(access(map, offset, len, true)))
    }

    /// As [`Maps::value`] or [`Maps::value_mut`], for compiled code: where the bytes are in this
    /// process, until the value is deleted and the run has ended.
    ///
    /// # Errors
    /// The access is not one that the verifier would have let the program make.
    #[inline]
    pub fn resolve(
        &mut self,
        map: MapId,
        offset: u64,
        len: u64,
        write: bool,
    ) -> Result<NonNull<u8>, FaultKind> {
        let bytes = if write {
            self.value_mut(map, offset, len)?.as_mut_ptr()
        } else {
            self.value(map, offset, len)?;
            self.map_mut(map).map_or(std::ptr::null_mut(), |entry| {
                entry.table.memory_mut().bytes_mut(offset, len as usize).as_mut_ptr()
            })
        };
        NonNull::new(bytes).ok_or(FaultKind::WildAddress(access(map, offset, len, write)))
    }

    #[inline]
    fn read(&self, map: MapId, offset: u64, len: u64) -> Result<&[u8], Denied> {
        let entry = self.map(map)?;
        if !entry.readable {
            return Err(Denied::WriteOnly(map));
        }
        entry.table.bytes(offset, len).map_err(|wrong| wrong.of(map))
    }

    #[inline]
    fn written(&mut self, map: MapId, offset: u64, len: u64) -> Result<&mut [u8], Denied> {
        let entry = self.map_mut(map)?;
        if !entry.writable {
            return Err(Denied::ReadOnly(map));
        }
        entry.table.bytes_mut(offset, len).map_err(|wrong| wrong.of(map))
    }

    /// The map, if this use goes with its kind.
    #[inline]
    pub(super) fn used(&mut self, map: MapId, uses: Uses) -> Result<&mut Map, Denied> {
        let entry = self.map_mut(map)?;
        if entry.uses.contain(uses) { Ok(entry) } else { Err(Denied::WrongKind(map)) }
    }

    /// `bpf_map_lookup_elem`. The key has the map's key size.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    #[inline]
    pub fn lookup(&mut self, map: MapId, key: &[u8]) -> Result<Option<Found>, Denied> {
        let cpu = self.world.cpu;
        let entry = self.used(map, Uses::LOOKUP)?;
        Ok(entry.table.lookup(key, cpu).map(|place| place.found(map)))
    }

    /// `bpf_map_lookup_percpu_elem`: the value of one CPU; `None` too for a CPU there is not.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn lookup_percpu(
        &mut self,
        map: MapId,
        key: &[u8],
        cpu: u32,
    ) -> Result<Option<Found>, Denied> {
        let cpus = self.world.cpus;
        let entry = self.used(map, Uses::LOOKUP_PERCPU)?;
        if cpu >= cpus {
            return Ok(None);
        }
        Ok(entry.table.lookup(key, cpu).map(|place| place.found(map)))
    }

    /// `bpf_map_update_elem`. Key and value have the map's sizes.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn update(
        &mut self,
        map: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Failure> {
        self.change(map, Uses::CHANGE, |entry, world| entry.table.update(key, value, flags, world))
    }

    /// `bpf_map_delete_elem`.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn delete(&mut self, map: MapId, key: &[u8]) -> Result<(), Failure> {
        self.change(map, Uses::CHANGE, |entry, world| entry.table.delete(key, world))
    }

    /// `bpf_map_push_elem`.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn push(&mut self, map: MapId, value: &[u8], flags: u64) -> Result<(), Failure> {
        self.change(map, Uses::PUSH, |entry, _| entry.table.push(value, flags))
    }

    /// `bpf_map_pop_elem` into `value`, which is zeroed where there is none.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn pop(&mut self, map: MapId, value: &mut [u8]) -> Result<(), Failure> {
        self.change(map, Uses::POP, |entry, _| entry.table.pop(value))
    }

    /// `bpf_map_peek_elem` into `value`; for a Bloom filter, whether it may hold `value`.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn peek(&mut self, map: MapId, value: &mut [u8]) -> Result<(), Failure> {
        Ok(self.used(map, Uses::PEEK)?.table.peek(value)?)
    }

    /// `bpf_for_each_map_elem`: the entry at or after a position, from 0. A per-CPU map shows the
    /// current CPU's values. Entries that are deleted meanwhile do not disturb the walk.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn walk(&mut self, map: MapId, position: u32) -> Result<Option<Visit>, Denied> {
        let cpu = self.world.cpu;
        let step = self.used(map, Uses::WALK)?.table.step(position, cpu);
        Ok(step.map(|step| Visit {
            key: map_value(map, step.key),
            value: map_value(map, step.value),
            next: step.next,
        }))
    }

    /// `bpf_redirect_map`: what the entry leads to; `None` where it is empty.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn redirect(&mut self, map: MapId, key: u32) -> Result<Option<Redirect>, Denied> {
        Ok(self.used(map, Uses::REDIRECT)?.table.redirect(key))
    }

    /// `bpf_redirect_map` with `BPF_F_BROADCAST`: every entry of a devmap, in the kernel's order.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn broadcast(&mut self, map: MapId) -> Result<Vec<Redirect>, Denied> {
        Ok(self.used(map, Uses::REDIRECT)?.table.redirects())
    }

    /// `bpf_tail_call`: the program in the slot of a prog array; `None` too for other maps.
    #[inline]
    #[must_use]
    pub fn program(&self, map: MapId, index: u32) -> Option<ProgramId> {
        self.map(map).ok()?.table.program(index)
    }

    /// Runs a changing operation, and remembers maps with deleted values.
    #[inline]
    fn change(
        &mut self,
        map: MapId,
        uses: Uses,
        operation: impl FnOnce(&mut Map, &super::World) -> Result<(), super::Errno>,
    ) -> Result<(), Failure> {
        let slot = self.maps.get_mut(map.0 as usize).and_then(Option::as_mut);
        let entry = slot.ok_or(Denied::NoMap(map))?;
        if !entry.uses.contain(uses) {
            return Err(Denied::WrongKind(map).into());
        }
        if !entry.writable {
            return Err(Denied::ReadOnly(map).into());
        }
        let done = operation(entry, &self.world);
        if !entry.dirty && entry.table.is_dirty() {
            entry.dirty = true;
            self.dirty.push(map);
        }
        Ok(done?)
    }
}

const fn access(map: MapId, offset: u64, size: u64, write: bool) -> Access {
    Access { address: map_value(map, offset), size, write }
}
