//! Hash tables: plain, per CPU, with eviction, of maps (`kernel/bpf/hashtab.c`).
//!
//! The index maps keys to places in the value memory. An entry there is the value (or one for each
//! CPU), then the key. As in the kernel, an update of a plain table puts a new entry in the old one's
//! place, so that a program that kept the old value's address still sees the old value; per-CPU
//! values are updated where they are.

use hashbrown::HashTable;
use hoist_bpf::module::MapId;
use hoist_offload::attach::MapDef;

use super::fields::Fields;
use super::flags::{create, kind, update};
use super::key::Seed;
use super::lru::Lru;
use super::memory::Memory;
use super::slots::Slots;
use super::stride::Stride;
use super::table::{Place, Step, Table, World, Wrong};
use super::{Errno, Region};

/// Entries that the index has room for from the start, at most; beyond it grows.
const READY: u32 = 1 << 21;

/// Nodes of the LRU lists and places of entries, by each other.
#[derive(Debug)]
struct Eviction {
    lru: Lru,
    slot_of: Vec<u32>,
    node_of: Vec<u32>,
}

/// One hash table.
#[derive(Debug)]
pub(super) struct Hash {
    index: HashTable<u32>,
    memory: Memory,
    slots: Slots,
    seed: Seed,
    layout: Layout,
    places: Stride,
    fields: Fields,
    entries: u32,
    cpus: u32,
    /// Whether there is one value for each CPU.
    per_cpu: bool,
    /// What inner maps must be like, in a table of maps.
    inner: Option<MapDef>,
    eviction: Option<Eviction>,
}

/// Where things are in an entry, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    key_size: usize,
    value_size: usize,
    /// From one CPU's value to the next.
    padded: usize,
    /// Where the key is: behind all values.
    key: u64,
    stride: u64,
}

impl Layout {
    const fn value(&self, slot: u32, cpu: u32) -> u64 {
        slot as u64 * self.stride + cpu as u64 * self.padded as u64
    }

    const fn key(&self, slot: u32) -> u64 {
        slot as u64 * self.stride + self.key
    }
}

impl Hash {
    pub(super) fn new(
        def: &MapDef,
        fields: Fields,
        inner: Option<MapDef>,
        cpus: u32,
    ) -> Result<Self, Errno> {
        let per_cpu = matches!(def.kind, kind::PERCPU_HASH | kind::LRU_PERCPU_HASH);
        let padded = u64::from(def.value_size).next_multiple_of(8);
        let key = padded.checked_mul(u64::from(if per_cpu { cpus } else { 1 }));
        let key = key.ok_or(Errno::ENOMEM)?;
        let stride = key + u64::from(def.key_size).next_multiple_of(8);
        let slots = Slots::new(def.max_entries);
        let len = stride.checked_mul(u64::from(slots.capacity())).ok_or(Errno::ENOMEM)?;
        let is_lru = matches!(def.kind, kind::LRU_HASH | kind::LRU_PERCPU_HASH);
        let eviction = is_lru.then(|| Eviction {
            lru: Lru::new(def.max_entries, cpus, def.flags & create::NO_COMMON_LRU != 0),
            slot_of: vec![0; def.max_entries as usize],
            node_of: Vec::new(),
        });
        Ok(Self {
            index: HashTable::with_capacity(def.max_entries.min(READY) as usize),
            memory: Memory::reserve(len)?,
            slots,
            seed: Seed::random(),
            layout: Layout {
                key_size: def.key_size as usize,
                value_size: def.value_size as usize,
                padded: padded as usize,
                key,
                stride,
            },
            places: Stride::new(stride),
            fields,
            entries: def.max_entries,
            cpus,
            per_cpu,
            inner,
            eviction,
        })
    }

    /// The place of a key. The usual lengths have code of their own.
    #[inline]
    fn find(&self, key: &[u8]) -> Option<u32> {
        match key.len() {
            4 => self.find_sized::<4>(key),
            8 => self.find_sized::<8>(key),
            12 => self.find_sized::<12>(key),
            16 => self.find_sized::<16>(key),
            _ => self.find_any(key),
        }
    }

    #[inline]
    fn find_sized<const BYTES: usize>(&self, key: &[u8]) -> Option<u32> {
        let key: &[u8; BYTES] = key.try_into().ok()?;
        let (memory, layout) = (&self.memory, self.layout);
        let found = self.index.find(self.seed.hash(key), |slot| {
            memory.array::<BYTES>(layout.key(*slot)) == Some(key)
        });
        found.copied()
    }

    fn find_any(&self, key: &[u8]) -> Option<u32> {
        let (memory, layout) = (&self.memory, self.layout);
        let found = self.index.find(self.seed.hash(key), |slot| {
            memory.bytes(layout.key(*slot), layout.key_size) == key
        });
        found.copied()
    }

    /// A new entry for a key that is not there, its values zero.
    fn insert(&mut self, key: &[u8]) -> Result<u32, Errno> {
        let slot = self.slots.take().ok_or(Errno::ENOMEM)?;
        let (memory, layout, seed) = (&mut self.memory, self.layout, self.seed);
        let values = layout.key as usize;
        memory.bytes_mut(layout.value(slot, 0), values).fill(0);
        memory.bytes_mut(layout.key(slot), layout.key_size).copy_from_slice(key);
        self.index.insert_unique(seed.hash(key), slot, |slot| {
            seed.hash(memory.bytes(layout.key(*slot), layout.key_size))
        });
        Ok(slot)
    }

    /// Takes an entry out; its value stays readable until the run ends.
    fn remove(&mut self, slot: u32) {
        let hash = self.seed.hash(self.memory.bytes(self.layout.key(slot), self.layout.key_size));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.slots.retire(slot);
    }

    /// A node for a new entry of an LRU table, and what went for it.
    fn pop_node(&mut self, cpu: u32) -> Result<u32, Errno> {
        let Some(eviction) = &mut self.eviction else { return Err(Errno::ENOMEM) };
        let slot_of = &eviction.slot_of;
        let mut evicted = Vec::new();
        let node = eviction.lru.pop(cpu, &mut |node| evicted.push(slot_of[node as usize]));
        for slot in evicted {
            self.remove(slot);
        }
        node.ok_or(Errno::ENOMEM)
    }

    fn bind(&mut self, node: u32, slot: u32) {
        if let Some(eviction) = &mut self.eviction {
            if eviction.node_of.len() <= slot as usize {
                eviction.node_of.resize(slot as usize + 1, 0);
            }
            eviction.node_of[slot as usize] = node;
            eviction.slot_of[node as usize] = slot;
        }
    }

    /// Puts values in: the current CPU's, or with `all` every CPU's (`pcpu_copy_value`).
    fn put(&mut self, slot: u32, value: &[u8], cpu: u32, all: bool) {
        let Layout { value_size, padded, .. } = self.layout;
        if !self.per_cpu {
            let to = self.memory.bytes_mut(self.layout.value(slot, 0), value_size);
            self.fields.copy(to, value);
        } else if all {
            for (cpu, value) in (0..self.cpus).zip(value.chunks_exact(padded)) {
                let to = self.memory.bytes_mut(self.layout.value(slot, cpu), padded);
                self.fields.copy_padded(to, value, value_size);
            }
        } else {
            let to = self.memory.bytes_mut(self.layout.value(slot, cpu), value_size);
            self.fields.copy(to, value);
        }
    }

    /// The kind's `map_update_elem`.
    fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        flags: u64,
        cpu: u32,
        all: bool,
    ) -> Result<(), Errno> {
        let in_place = self.per_cpu || self.inner.is_some();
        let locked = flags & update::LOCK != 0;
        if flags & !update::LOCK > update::EXIST
            || locked && (in_place || self.eviction.is_some() || self.fields.lock.is_none())
        {
            return Err(Errno::EINVAL);
        }
        let flags = flags & !update::LOCK;
        if self.eviction.is_some() {
            return self.set_evicting(key, value, flags, cpu, all);
        }
        let old = self.find(key);
        check_flags(old, flags)?;
        match old {
            Some(slot) if in_place || locked => {
                self.put(slot, value, cpu, all);
                return Ok(());
            }
            Some(slot) => self.remove(slot),
            None if self.index.len() >= self.entries as usize => return Err(Errno::E2BIG),
            None => {}
        }
        let slot = self.insert(key)?;
        self.put(slot, value, cpu, all);
        Ok(())
    }

    /// `htab_lru_map_update_elem`, `__htab_lru_percpu_map_update_elem`: room is made first, whether
    /// or not it turns out to be needed.
    fn set_evicting(
        &mut self,
        key: &[u8],
        value: &[u8],
        flags: u64,
        cpu: u32,
        all: bool,
    ) -> Result<(), Errno> {
        let node =
            if self.per_cpu && flags == update::EXIST { None } else { Some(self.pop_node(cpu)?) };
        let old = self.find(key);
        let checked = check_flags(old, flags);
        let replaced = if self.per_cpu { None } else { old };
        if checked.is_err() || (self.per_cpu && old.is_some()) {
            if let (Ok(()), Some(slot)) = (checked, old) {
                self.refer(slot);
                self.put(slot, value, cpu, all);
            }
            if let (Some(node), Some(eviction)) = (node, &mut self.eviction) {
                eviction.lru.push(node);
            }
            return checked;
        }
        let replaced = replaced.and_then(|slot| {
            self.remove(slot);
            self.eviction.as_ref().map(|eviction| eviction.node_of[slot as usize])
        });
        let slot = self.insert(key)?;
        self.put(slot, value, cpu, all);
        if let Some(node) = node {
            self.bind(node, slot);
        }
        if let (Some(old), Some(eviction)) = (replaced, &mut self.eviction) {
            eviction.lru.refer(eviction.node_of[slot as usize]);
            eviction.lru.push(old);
        }
        Ok(())
    }

    /// `bpf_lru_node_set_ref`.
    #[inline]
    fn refer(&mut self, slot: u32) {
        if let Some(eviction) = &mut self.eviction {
            eviction.lru.refer(eviction.node_of[slot as usize]);
        }
    }

    fn copy_out(&self, slot: u32, value: &mut Vec<u8>) {
        let Layout { value_size, padded, .. } = self.layout;
        let (cpus, bytes) = if self.per_cpu { (self.cpus, padded) } else { (1, value_size) };
        for cpu in 0..cpus {
            let at = value.len();
            value.extend_from_slice(self.memory.bytes(self.layout.value(slot, cpu), bytes));
            self.fields.clear(&mut value[at..]);
        }
    }

    fn inner_map(&self, slot: u32) -> u32 {
        let value = self.memory.bytes(self.layout.value(slot, 0), 4);
        value.try_into().map_or(0, u32::from_ne_bytes)
    }
}

/// `check_flags`.
fn check_flags(old: Option<u32>, flags: u64) -> Result<(), Errno> {
    match (old, flags) {
        (Some(_), update::NOEXIST) => Err(Errno::EEXIST),
        (None, update::EXIST) => Err(Errno::ENOENT),
        _ => Ok(()),
    }
}

impl Table for Hash {
    fn region(&self) -> Option<Region> {
        Some(Region {
            start: self.memory.start(),
            stride: self.layout.stride,
            value_bytes: self.layout.value_size as u32,
            entries: self.slots.capacity(),
            permanent: false,
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
        let Layout { value_size, key_size, padded, key, .. } = self.layout;
        let (slot, within) = self.places.split(offset);
        if !self.slots.is_readable(slot) {
            return Err(Wrong::Gone);
        }
        let is_key = within >= key;
        let (start, bytes) = if is_key {
            (key, key_size as u64)
        } else {
            let start = if self.per_cpu { within - within % padded as u64 } else { 0 };
            (start, value_size as u64)
        };
        let past = within - start;
        if past > bytes || len > bytes - past {
            let low = offset - past;
            return Err(Wrong::Outside { low, high: low + bytes });
        }
        if is_key && write { Err(Wrong::ReadOnly) } else { Ok(()) }
    }

    #[inline]
    fn lookup(&mut self, key: &[u8], cpu: u32) -> Option<Place> {
        let slot = self.find(key)?;
        if self.inner.is_some() {
            return self.inner_map(slot).checked_sub(1).map(|map| Place::Map(MapId(map)));
        }
        self.refer(slot);
        Some(Place::Value(self.layout.value(slot, if self.per_cpu { cpu } else { 0 })))
    }

    fn update(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        self.set(key, value, flags, world.cpu, false)
    }

    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let slot = self.find(key).ok_or(Errno::ENOENT)?;
        self.remove(slot);
        if let Some(eviction) = &mut self.eviction {
            eviction.lru.push(eviction.node_of[slot as usize]);
        }
        Ok(())
    }

    fn step(&mut self, position: u32, cpu: u32) -> Option<Step> {
        let slot = self.slots.next_live(position)?;
        let value = self.layout.value(slot, if self.per_cpu { cpu } else { 0 });
        Some(Step { key: self.layout.key(slot), value, next: slot + 1 })
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let slot = self.find(key).ok_or(Errno::ENOENT)?;
        self.copy_out(slot, value);
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        if let Some(inner) = &self.inner {
            world.inner(inner, value)?;
        }
        self.set(key, value, flags, world.cpu, true)
    }

    fn take(&mut self, key: &[u8], value: &mut Vec<u8>, world: &World) -> Result<(), Errno> {
        if self.inner.is_some() {
            return Err(Errno::ENOTSUPP);
        }
        self.read(key, value)?;
        self.delete(key, world)
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        let after = key.and_then(|key| self.find(key)).map_or(0, |slot| slot + 1);
        let slot = self.slots.next_live(after).ok_or(Errno::ENOENT)?;
        next.extend_from_slice(self.memory.bytes(self.layout.key(slot), self.layout.key_size));
        Ok(())
    }

    fn is_dirty(&self) -> bool {
        self.slots.is_dirty()
    }

    fn end_run(&mut self) {
        self.slots.settle();
    }
}
