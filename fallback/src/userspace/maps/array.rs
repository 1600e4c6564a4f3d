//! Arrays, and arrays with one value for each CPU (`kernel/bpf/arraymap.c`).

use hoist_offload::attach::MapDef;

use super::fields::Fields;
use super::flags::{kind, update};
use super::memory::Memory;
use super::stride::Stride;
use super::table::{Place, Step, Table, World, Wrong};
use super::{Errno, Region};

/// All values, always there. Those of one CPU lie together. Behind them is room for the keys that a
/// walk shows to programs.
#[derive(Debug)]
pub(super) struct Array {
    memory: Memory,
    fields: Fields,
    entries: u32,
    value_bytes: usize,
    stride: u64,
    places: Stride,
    /// Whether there is one value for each CPU.
    per_cpu: bool,
    cpus: u32,
    /// Where the keys are.
    keys: u64,
}

impl Array {
    pub(super) fn new(def: &MapDef, fields: Fields, cpus: u32) -> Result<Self, Errno> {
        let per_cpu = def.kind == kind::PERCPU_ARRAY;
        let cpus = if per_cpu { cpus } else { 1 };
        let stride = u64::from(def.value_size).next_multiple_of(8);
        let values = u64::from(def.max_entries) * stride;
        let keys = values.checked_mul(u64::from(cpus)).ok_or(Errno::ENOMEM)?;
        let len = keys.checked_add(4 * u64::from(def.max_entries)).ok_or(Errno::ENOMEM)?;
        Ok(Self {
            memory: Memory::reserve(len)?,
            fields,
            entries: def.max_entries,
            value_bytes: def.value_size as usize,
            stride,
            places: Stride::new(stride),
            per_cpu,
            cpus,
            keys,
        })
    }

    fn index(&self, key: &[u8]) -> Option<u32> {
        let index = index(key);
        (index < self.entries).then_some(index)
    }

    /// Where the value of `cpu` is, or the only one.
    const fn offset(&self, index: u32, cpu: u32) -> u64 {
        let cpu = if self.per_cpu { cpu } else { 0 };
        (cpu as u64 * self.entries as u64 + index as u64) * self.stride
    }

    /// The checks of `array_map_update_elem`, in its order.
    fn slot(&self, key: &[u8], flags: u64) -> Result<u32, Errno> {
        if flags & !update::LOCK > update::EXIST {
            return Err(Errno::EINVAL);
        }
        let index = self.index(key).ok_or(Errno::E2BIG)?;
        if flags & update::NOEXIST != 0 {
            return Err(Errno::EEXIST);
        }
        let lockable = flags & update::LOCK == 0 || self.fields.lock.is_some();
        if lockable { Ok(index) } else { Err(Errno::EINVAL) }
    }
}

/// The number that a key of 4 bytes is.
pub(super) fn index(key: &[u8]) -> u32 {
    key.try_into().map_or(u32::MAX, u32::from_ne_bytes)
}

/// `array_map_get_next_key`: every index is a key.
pub(super) fn next_index(
    entries: u32,
    key: Option<&[u8]>,
    next: &mut Vec<u8>,
) -> Result<(), Errno> {
    let following = match key.map(index) {
        Some(index) if index < entries => index + 1,
        _ => 0,
    };
    if following == entries {
        return Err(Errno::ENOENT);
    }
    next.extend_from_slice(&following.to_ne_bytes());
    Ok(())
}

impl Table for Array {
    fn region(&self) -> Option<Region> {
        Some(Region {
            start: self.memory.start(),
            stride: self.stride,
            value_bytes: self.value_bytes as u32,
            entries: self.entries,
            permanent: true,
            readable: true,
            writable: true,
        })
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    #[inline]
    fn check(&self, offset: u64, len: u64, write: bool) -> Result<(), Wrong> {
        if offset < self.keys {
            let (_, within) = self.places.split(offset);
            let (low, bytes) = (offset - within, self.value_bytes as u64);
            // Neither is near the largest number once the first comparison has passed.
            if len <= bytes && within + len <= bytes {
                return Ok(());
            }
            return Err(Wrong::Outside { low, high: low + bytes });
        }
        let key = (offset - self.keys) / 4;
        let low = self.keys + 4 * key.min(u64::from(self.entries) - 1);
        if offset > low + 4 || len > low + 4 - offset {
            return Err(Wrong::Outside { low, high: low + 4 });
        }
        if write { Err(Wrong::ReadOnly) } else { Ok(()) }
    }

    #[inline]
    fn lookup(&mut self, key: &[u8], cpu: u32) -> Option<Place> {
        self.index(key).map(|index| Place::Value(self.offset(index, cpu)))
    }

    fn update(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        let index = self.slot(key, flags)?;
        let to = self.memory.bytes_mut(self.offset(index, world.cpu), self.value_bytes);
        self.fields.copy(to, value);
        Ok(())
    }

    fn delete(&mut self, _key: &[u8], _world: &World) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn step(&mut self, position: u32, cpu: u32) -> Option<Step> {
        if position >= self.entries {
            return None;
        }
        let key = self.keys + 4 * u64::from(position);
        self.memory.bytes_mut(key, 4).copy_from_slice(&position.to_ne_bytes());
        Some(Step { key, value: self.offset(position, cpu), next: position + 1 })
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let index = self.index(key).ok_or(Errno::ENOENT)?;
        let padded = if self.per_cpu { self.stride as usize } else { self.value_bytes };
        for cpu in 0..self.cpus {
            let at = value.len();
            value.extend_from_slice(self.memory.bytes(self.offset(index, cpu), padded));
            self.fields.clear(&mut value[at..]);
        }
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        if !self.per_cpu {
            return self.update(key, value, flags, world);
        }
        let index = self.slot(key, flags)?;
        for (cpu, value) in (0..self.cpus).zip(value.chunks_exact(self.stride as usize)) {
            let to = self.memory.bytes_mut(self.offset(index, cpu), value.len());
            self.fields.copy_padded(to, value, self.value_bytes);
        }
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        next_index(self.entries, key, next)
    }
}
