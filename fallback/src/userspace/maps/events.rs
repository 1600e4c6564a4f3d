//! Perf event arrays (`perf_event_array_map_ops`, `__bpf_perf_event_output`): programs write events
//! into the buffer of a CPU, user space takes them.
//!
//! There are no perf events here that a descriptor could name. Whoever wants events opens the map's
//! buffers instead; until then programs get `ENOENT`, as from empty slots.

use std::collections::VecDeque;

use hoist_offload::attach::MapDef;

use super::Errno;
use super::array::{index, next_index};
use super::memory::Memory;
use super::table::{Table, World};

/// `BPF_F_INDEX_MASK`, and the index that stands for the current CPU (`BPF_F_CURRENT_CPU`).
const INDEX: u64 = 0xffff_ffff;
/// Bytes of an event beside its data: `struct perf_event_header` and the length.
const OVERHEAD: usize = 12;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The CPU on which the program ran.
    pub cpu: u32,
    /// What it wrote, without the padding that perf adds.
    pub data: Vec<u8>,
    /// Events that were lost on this CPU since the one before it, for want of room.
    pub lost: u64,
}

/// The buffer of one CPU.
#[derive(Debug, Default)]
struct Buffer {
    events: VecDeque<Event>,
    used: usize,
    lost: u64,
}

/// One perf event array.
#[derive(Debug)]
pub(super) struct Events {
    memory: Memory,
    entries: u32,
    /// Bytes that a buffer holds; 0 until they are opened.
    capacity: usize,
    buffers: Vec<Buffer>,
}

impl Events {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let memory = Memory::reserve(1)?;
        Ok(Self { memory, entries: def.max_entries, capacity: 0, buffers: Vec::new() })
    }

    /// Opens the buffers of all CPUs.
    pub(super) fn open(&mut self, cpus: u32, bytes: usize) {
        self.capacity = bytes;
        self.buffers.resize_with(cpus as usize, Buffer::default);
    }

    /// `__bpf_perf_event_output`: an event of these parts.
    pub(super) fn output(&mut self, flags: u64, parts: [&[u8]; 2], cpu: u32) -> Result<(), Errno> {
        let slot = flags & INDEX;
        let slot = if slot == INDEX { cpu } else { slot as u32 };
        if slot >= self.entries {
            return Err(Errno::E2BIG);
        }
        let buffer = self.buffers.get_mut(slot as usize).ok_or(Errno::ENOENT)?;
        if slot != cpu {
            return Err(Errno::EOPNOTSUPP);
        }
        let room = OVERHEAD + parts.iter().map(|part| part.len()).sum::<usize>();
        let room = room.next_multiple_of(8);
        if room > self.capacity - buffer.used {
            buffer.lost += 1;
            return Err(Errno::ENOSPC);
        }
        buffer.used += room;
        let lost = std::mem::take(&mut buffer.lost);
        buffer.events.push_back(Event { cpu, data: parts.concat(), lost });
        Ok(())
    }

    /// Takes the oldest event of the first CPU that has one.
    pub(super) fn take_event(&mut self) -> Option<Event> {
        let buffer = self.buffers.iter_mut().find(|buffer| !buffer.events.is_empty())?;
        let event = buffer.events.pop_front()?;
        buffer.used -= (OVERHEAD + event.data.len()).next_multiple_of(8);
        Some(event)
    }
}

impl Table for Events {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn events(&mut self) -> Option<&mut Events> {
        Some(self)
    }

    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        Err(if index(key) < self.entries { Errno::ENOENT } else { Errno::E2BIG })
    }

    fn read(&mut self, _key: &[u8], _value: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn write(
        &mut self,
        key: &[u8],
        _value: &[u8],
        flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        Err(if index(key) < self.entries { Errno::EBADF } else { Errno::E2BIG })
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        next_index(self.entries, key, next)
    }
}
