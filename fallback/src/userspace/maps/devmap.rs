//! Maps of interfaces to redirect to (`kernel/bpf/devmap.c`).
//!
//! Values are `struct bpf_devmap_val`: interface index and program. Programs may read them. A table
//! by key keeps the kernel's chains, whose order broadcasts follow.

use hoist_bpf::module::{ProgramHint, ProgramId};
use hoist_offload::attach::MapDef;

use super::array::{index, next_index};
use super::flags::{kind, update};
use super::memory::Memory;
use super::table::{Place, Table, World, Wrong};
use super::{Errno, Redirect, Region};

/// `struct bpf_devmap_val`, the key and the number behind the next entry of the chain.
const STRIDE: u64 = 16;
const KEY: u64 = 8;
const NEXT: u64 = 12;

/// One devmap.
#[derive(Debug)]
pub(super) struct Devmap {
    memory: Memory,
    entries: u32,
    value_size: usize,
    chains: Option<Chains>,
}

/// Entries by key. Numbers are places plus one; 0 ends a chain.
#[derive(Debug)]
struct Chains {
    heads: Memory,
    buckets: u32,
    free: Vec<u32>,
    used: u32,
    count: u32,
}

fn word(memory: &Memory, at: u64) -> u32 {
    memory.bytes(at, 4).try_into().map_or(0, u32::from_ne_bytes)
}

fn set_word(memory: &mut Memory, at: u64, value: u32) {
    memory.bytes_mut(at, 4).copy_from_slice(&value.to_ne_bytes());
}

impl Devmap {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let chains = if def.kind == kind::DEVMAP_HASH {
            let buckets = def.max_entries.checked_next_power_of_two().ok_or(Errno::EINVAL)?;
            let heads = Memory::reserve(4 * u64::from(buckets))?;
            Some(Chains { heads, buckets, free: Vec::new(), used: 0, count: 0 })
        } else {
            None
        };
        Ok(Self {
            memory: Memory::reserve(STRIDE * u64::from(def.max_entries))?,
            entries: def.max_entries,
            value_size: def.value_size as usize,
            chains,
        })
    }

    fn ifindex(&self, place: u32) -> u32 {
        word(&self.memory, STRIDE * u64::from(place))
    }

    fn find(&self, key: u32) -> Option<u32> {
        let Some(chains) = &self.chains else {
            return (key < self.entries && self.ifindex(key) != 0).then_some(key);
        };
        let mut at = word(&chains.heads, chains.head(key));
        while let Some(place) = at.checked_sub(1) {
            let entry = STRIDE * u64::from(place);
            if word(&self.memory, entry + KEY) == key {
                return Some(place);
            }
            at = word(&self.memory, entry + NEXT);
        }
        None
    }

    fn target(&self, place: u32) -> Redirect {
        let program = word(&self.memory, STRIDE * u64::from(place) + 4);
        let program = program.checked_sub(1).map(ProgramId);
        Redirect::Device { ifindex: self.ifindex(place), program }
    }

    fn put(&mut self, place: u32, ifindex: u32, program: u32) {
        let at = STRIDE * u64::from(place);
        set_word(&mut self.memory, at, ifindex);
        set_word(&mut self.memory, at + 4, program);
    }

    /// Takes an entry out of its chain.
    fn unchain(&mut self, key: u32, place: u32) {
        let Some(chains) = &mut self.chains else { return };
        let next = word(&self.memory, STRIDE * u64::from(place) + NEXT);
        let head = chains.head(key);
        let mut at = word(&chains.heads, head);
        if at == place + 1 {
            set_word(&mut chains.heads, head, next);
            return;
        }
        while let Some(before) = at.checked_sub(1) {
            let link = STRIDE * u64::from(before) + NEXT;
            at = word(&self.memory, link);
            if at == place + 1 {
                set_word(&mut self.memory, link, next);
                return;
            }
        }
    }

    /// Puts an entry at the head of its chain.
    fn chain(&mut self, key: u32, place: u32) {
        let Some(chains) = &mut self.chains else { return };
        let head = chains.head(key);
        let entry = STRIDE * u64::from(place);
        set_word(&mut self.memory, entry + KEY, key);
        set_word(&mut self.memory, entry + NEXT, word(&chains.heads, head));
        set_word(&mut chains.heads, head, place + 1);
    }

    /// The value's interface and program (`__dev_map_alloc_node`).
    fn entry(&self, value: &[u8], world: &World) -> Result<(u32, u32), Errno> {
        let ifindex = index(&value[..4]);
        let program = value.get(4..8).map_or(0, index);
        if !world.has_interface(ifindex) {
            return Err(Errno::EINVAL);
        }
        if (program as i32) <= 0 {
            return Ok((ifindex, 0));
        }
        let found = world.program_for(program, ProgramHint::XdpDevmap);
        found.map(|_| (ifindex, program)).ok_or(Errno::EINVAL)
    }

    /// `__dev_map_update_elem`.
    fn write_array(
        &mut self,
        key: u32,
        value: &[u8],
        flags: u64,
        world: &World,
    ) -> Result<(), Errno> {
        if flags > update::EXIST {
            return Err(Errno::EINVAL);
        }
        if key >= self.entries {
            return Err(Errno::E2BIG);
        }
        if flags == update::NOEXIST {
            return Err(Errno::EEXIST);
        }
        let (ifindex, program) = if index(&value[..4]) == 0 {
            if value.get(4..8).is_some_and(|program| (index(program) as i32) > 0) {
                return Err(Errno::EINVAL);
            }
            (0, 0)
        } else {
            self.entry(value, world)?
        };
        self.put(key, ifindex, program);
        Ok(())
    }

    /// `__dev_map_hash_update_elem`.
    fn write_hash(
        &mut self,
        key: u32,
        value: &[u8],
        flags: u64,
        world: &World,
    ) -> Result<(), Errno> {
        if flags > update::EXIST || index(&value[..4]) == 0 {
            return Err(Errno::EINVAL);
        }
        let old = self.find(key);
        if old.is_some() && flags & update::NOEXIST != 0 {
            return Err(Errno::EEXIST);
        }
        let (ifindex, program) = self.entry(value, world)?;
        let place = match (old, &mut self.chains) {
            (Some(place), _) => {
                self.unchain(key, place);
                place
            }
            (None, Some(chains)) if chains.count < self.entries => {
                chains.count += 1;
                chains.free.pop().unwrap_or_else(|| {
                    chains.used += 1;
                    chains.used - 1
                })
            }
            _ => return Err(Errno::E2BIG),
        };
        self.put(place, ifindex, program);
        self.chain(key, place);
        Ok(())
    }

    /// Places of entries, in the order in which the kernel walks them.
    fn places(&self) -> Vec<u32> {
        let Some(chains) = &self.chains else {
            return (0..self.entries).filter(|place| self.ifindex(*place) != 0).collect();
        };
        let mut places = Vec::new();
        for bucket in 0..chains.buckets {
            let mut at = word(&chains.heads, 4 * u64::from(bucket));
            while let Some(place) = at.checked_sub(1) {
                places.push(place);
                at = word(&self.memory, STRIDE * u64::from(place) + NEXT);
            }
        }
        places
    }

    /// `dev_map_hash_get_next_key`.
    fn next_chained(&self, chains: &Chains, key: Option<u32>) -> Option<u32> {
        let known = key.and_then(|key| Some((key, self.find(key)?)));
        let mut bucket = 0;
        if let Some((key, place)) = known {
            let next = word(&self.memory, STRIDE * u64::from(place) + NEXT);
            if next != 0 {
                return next.checked_sub(1);
            }
            bucket = (key & (chains.buckets - 1)) + 1;
        }
        (bucket..chains.buckets)
            .map(|bucket| word(&chains.heads, 4 * u64::from(bucket)))
            .find_map(|head| head.checked_sub(1))
    }
}

impl Chains {
    /// Where the head of a key's chain is (`dev_map_index_hash`).
    const fn head(&self, key: u32) -> u64 {
        4 * (key & (self.buckets - 1)) as u64
    }
}

impl Table for Devmap {
    fn region(&self) -> Option<Region> {
        Some(Region {
            start: self.memory.start(),
            stride: STRIDE,
            value_bytes: self.value_size as u32,
            entries: self.entries,
            permanent: false,
            readable: true,
            writable: false,
        })
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn check(&self, offset: u64, len: u64, write: bool) -> Result<(), Wrong> {
        let (place, within) = (offset / STRIDE, offset % STRIDE);
        if place >= u64::from(self.entries) || self.ifindex(place as u32) == 0 {
            return Err(Wrong::Gone);
        }
        let bytes = self.value_size as u64;
        if within > bytes || len > bytes - within {
            let low = offset - within;
            return Err(Wrong::Outside { low, high: low + bytes });
        }
        if write { Err(Wrong::ReadOnly) } else { Ok(()) }
    }

    fn lookup(&mut self, key: &[u8], _cpu: u32) -> Option<Place> {
        self.find(index(key)).map(|place| Place::Value(STRIDE * u64::from(place)))
    }

    fn redirect(&self, key: u32) -> Option<Redirect> {
        self.find(key).map(|place| self.target(place))
    }

    fn redirects(&self) -> Vec<Redirect> {
        self.places().into_iter().map(|place| self.target(place)).collect()
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let place = self.find(index(key)).ok_or(Errno::ENOENT)?;
        value.extend_from_slice(self.memory.bytes(STRIDE * u64::from(place), self.value_size));
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        if self.chains.is_some() {
            self.write_hash(index(key), value, flags, world)
        } else {
            self.write_array(index(key), value, flags, world)
        }
    }

    /// `dev_map_delete_elem`, `dev_map_hash_delete_elem`.
    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let key = index(key);
        if self.chains.is_none() {
            if key >= self.entries {
                return Err(Errno::EINVAL);
            }
            self.put(key, 0, 0);
            return Ok(());
        }
        let place = self.find(key).ok_or(Errno::ENOENT)?;
        self.unchain(key, place);
        self.put(place, 0, 0);
        if let Some(chains) = &mut self.chains {
            chains.count -= 1;
            chains.free.push(place);
        }
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        let Some(chains) = &self.chains else { return next_index(self.entries, key, next) };
        let place = self.next_chained(chains, key.map(index)).ok_or(Errno::ENOENT)?;
        next.extend_from_slice(self.memory.bytes(STRIDE * u64::from(place) + KEY, 4));
        Ok(())
    }
}
