//! Queues and stacks (`kernel/bpf/queue_stack_maps.c`).

use hoist_offload::attach::MapDef;

use super::Errno;
use super::flags::{kind, update};
use super::memory::Memory;
use super::table::{Table, World};

/// A ring of values with a place to spare, as the kernel's.
#[derive(Debug)]
pub(super) struct Queue {
    memory: Memory,
    value_size: usize,
    /// Places: entries plus one.
    size: u64,
    head: u64,
    tail: u64,
    /// The last one in is the first one out.
    is_stack: bool,
}

impl Queue {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let size = u64::from(def.max_entries) + 1;
        Ok(Self {
            memory: Memory::reserve(size * u64::from(def.value_size))?,
            value_size: def.value_size as usize,
            size,
            head: 0,
            tail: 0,
            is_stack: def.kind == kind::STACK,
        })
    }

    const fn after(&self, at: u64) -> u64 {
        if at + 1 >= self.size { 0 } else { at + 1 }
    }

    fn place(&self, at: u64) -> u64 {
        at * self.value_size as u64
    }

    /// `__queue_map_get`, `__stack_map_get`.
    fn get(&mut self, value: &mut [u8], delete: bool) -> Result<(), Errno> {
        if self.head == self.tail {
            value.fill(0);
            return Err(Errno::ENOENT);
        }
        let last = if self.head == 0 { self.size - 1 } else { self.head - 1 };
        let at = if self.is_stack { last } else { self.tail };
        value.copy_from_slice(self.memory.bytes(self.place(at), self.value_size));
        match (delete, self.is_stack) {
            (false, _) => {}
            (true, true) => self.head = last,
            (true, false) => self.tail = self.after(self.tail),
        }
        Ok(())
    }

    fn get_all(&mut self, value: &mut Vec<u8>, delete: bool) -> Result<(), Errno> {
        value.resize(self.value_size, 0);
        self.get(value, delete)
    }
}

impl Table for Queue {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags & update::NOEXIST != 0 || flags > update::EXIST {
            return Err(Errno::EINVAL);
        }
        if self.after(self.head) == self.tail {
            if flags & update::EXIST == 0 {
                return Err(Errno::E2BIG);
            }
            self.tail = self.after(self.tail);
        }
        let place = self.place(self.head);
        self.memory.bytes_mut(place, self.value_size).copy_from_slice(value);
        self.head = self.after(self.head);
        Ok(())
    }

    fn pop(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        self.get(value, true)
    }

    fn peek(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        self.get(value, false)
    }

    fn delete(&mut self, _key: &[u8], _world: &World) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn read(&mut self, _key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        self.get_all(value, false)
    }

    fn write(
        &mut self,
        _key: &[u8],
        value: &[u8],
        flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        self.push(value, flags)
    }

    fn take(&mut self, _key: &[u8], value: &mut Vec<u8>, _world: &World) -> Result<(), Errno> {
        self.get_all(value, true)
    }

    fn next_key(&self, _key: Option<&[u8]>, _next: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
}
