//! Maps with the kernel's rules for keys, flags and room.

use std::collections::{BTreeMap, VecDeque};

use super::books::Object;
use super::errno::{E2BIG, EBADF, EEXIST, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EPERM};
use crate::kernel::{MapInfo, ObjectKind};

const ARRAY: u32 = 2;
const PROG_ARRAY: u32 = 3;
const PERF_EVENT_ARRAY: u32 = 4;
const PERCPU_HASH: u32 = 5;
const PERCPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LRU_PERCPU_HASH: u32 = 10;
const LPM_TRIE: u32 = 11;
const ARRAY_OF_MAPS: u32 = 12;
const HASH_OF_MAPS: u32 = 13;
const DEVMAP: u32 = 14;
const CPUMAP: u32 = 16;
const XSKMAP: u32 = 17;
const QUEUE: u32 = 22;
const STACK: u32 = 23;
const RINGBUF: u32 = 27;

const BPF_F_NO_PREALLOC: u32 = 1;
const BPF_F_RDONLY: u32 = 1 << 3;
const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

/// One map. Errors are error numbers: the caller knows operation and name.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) info: MapInfo,
    cpus: usize,
    frozen: bool,
    /// The NIC that it is in is gone.
    pub(super) orphaned: bool,
    /// By key in comparable form: what was given as key, and the value.
    entries: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    /// Comparable keys, least recently used first, for LRU kinds.
    order: VecDeque<Vec<u8>>,
}

impl Table {
    pub(super) fn new(info: MapInfo, cpus: usize) -> Result<Self, i32> {
        let keys_fit = match info.kind {
            LPM_TRIE => info.key_size > 4 && info.flags & BPF_F_NO_PREALLOC != 0,
            RINGBUF => info.key_size == 0 && info.value_size == 0,
            QUEUE | STACK => info.key_size == 0 && info.value_size > 0,
            _ if indexed(info.kind) => info.key_size == 4 && info.value_size > 0,
            _ => info.key_size > 0 && info.value_size > 0,
        };
        // A perf event array may be sized by the number of CPUs; the kernel itself takes no zero.
        if !keys_fit || info.max_entries == 0 {
            return Err(EINVAL);
        }
        let (frozen, entries, order) = (false, BTreeMap::new(), VecDeque::new());
        Ok(Self { info, cpus, frozen, orphaned: false, entries, order })
    }

    /// Bytes of a whole value.
    fn value_len(&self) -> usize {
        let size = self.info.value_size as usize;
        match self.info.kind {
            PERCPU_HASH | PERCPU_ARRAY | LRU_PERCPU_HASH => size.next_multiple_of(8) * self.cpus,
            _ if of_objects(self.info.kind).is_some() => 4,
            _ => size,
        }
    }

    /// Confirms the sizes the caller has in mind.
    pub(super) fn fits(&self, key_len: usize, value_len: Option<usize>) -> Result<(), i32> {
        let value_fits = value_len.is_none_or(|length| length == self.value_len());
        if key_len == self.info.key_size as usize && value_fits { Ok(()) } else { Err(EINVAL) }
    }

    /// The objects its entries keep alive.
    pub(super) fn holds(&self) -> Vec<Object> {
        let Some(kind) = of_objects(self.info.kind) else { return Vec::new() };
        self.entries.values().map(|(_, value)| (kind, number(value))).collect()
    }

    pub(super) fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, i32> {
        match self.info.kind {
            RINGBUF | XSKMAP | PERF_EVENT_ARRAY => return Err(ENOTSUPP),
            LPM_TRIE => return Ok(self.longest_match(key)),
            _ => {}
        }
        let found = self.entries.get(key).map(|(_, value)| value.clone());
        let in_range = (number(key)) < self.info.max_entries;
        Ok(found.or_else(|| (preallocated(self.info.kind) && in_range).then(|| self.zeroes())))
    }

    /// One entry by its own key: in a trie the exact prefix, not the longest match.
    pub(super) fn entry(&self, key: &[u8]) -> Result<Option<Vec<u8>>, i32> {
        if self.info.kind != LPM_TRIE {
            return self.lookup(key);
        }
        let place = self.comparable(key)?;
        Ok(self.entries.get(&place).map(|(_, value)| value.clone()))
    }

    pub(super) fn freeze(&mut self) -> Result<(), i32> {
        if self.frozen {
            return Err(EPERM);
        }
        self.frozen = true;
        Ok(())
    }

    /// Writes an entry. `named` is the object whose descriptor the value is, for maps of objects.
    pub(super) fn update(
        &mut self,
        key: &[u8],
        value: &[u8],
        flags: u64,
        named: Option<Object>,
    ) -> Result<(), i32> {
        if self.frozen || self.info.flags & BPF_F_RDONLY != 0 {
            return Err(EPERM);
        }
        if flags > BPF_EXIST || self.info.kind == RINGBUF {
            return Err(EINVAL);
        }
        let place = self.comparable(key)?;
        let exists = preallocated(self.info.kind) || self.entries.contains_key(&place);
        if indexed(self.info.kind) && number(key) >= self.info.max_entries {
            return Err(E2BIG);
        }
        if flags == BPF_NOEXIST && exists {
            return Err(EEXIST);
        }
        if flags == BPF_EXIST && !exists {
            return Err(ENOENT);
        }
        if !exists && self.entries.len() >= self.info.max_entries as usize {
            let full = if self.info.kind == LPM_TRIE { ENOSPC } else { E2BIG };
            let oldest = self.order.pop_front().ok_or(full)?;
            self.entries.remove(&oldest);
        }
        let stored = match of_objects(self.info.kind) {
            None => self.padded(value),
            Some(kind) => match named {
                Some((found, id)) if found == kind => id.to_ne_bytes().to_vec(),
                Some(_) => return Err(EINVAL),
                None => return Err(EBADF),
            },
        };
        if [LRU_HASH, LRU_PERCPU_HASH].contains(&self.info.kind) {
            self.order.retain(|other| *other != place);
            self.order.push_back(place.clone());
        }
        self.entries.insert(place, (key.to_vec(), stored));
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<bool, i32> {
        if self.frozen || self.info.flags & BPF_F_RDONLY != 0 {
            return Err(EPERM);
        }
        if preallocated(self.info.kind) || [RINGBUF, QUEUE, STACK].contains(&self.info.kind) {
            return Err(EINVAL);
        }
        let place = self.comparable(key)?;
        self.order.retain(|other| *other != place);
        Ok(self.entries.remove(&place).is_some())
    }

    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, i32> {
        if [RINGBUF, QUEUE, STACK].contains(&self.info.kind) {
            return Err(EINVAL);
        }
        if indexed(self.info.kind) {
            // Beyond the end the kernel starts over.
            let next = key.map_or(0, |key| match number(key) {
                last if last >= self.info.max_entries => 0,
                index => index + 1,
            });
            return Ok((next < self.info.max_entries).then(|| next.to_ne_bytes().to_vec()));
        }
        let place = key.map(|key| self.comparable(key)).transpose()?;
        let mut after = match place.filter(|place| self.entries.contains_key(place)) {
            Some(place) => {
                self.entries.range((std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded))
            }
            None => self.entries.range::<Vec<u8>, _>(..),
        };
        Ok(after.next().map(|(_, (given, _))| given.clone()))
    }

    fn zeroes(&self) -> Vec<u8> {
        vec![0; self.value_len()]
    }

    /// Per-CPU values come back with their padding cleared.
    fn padded(&self, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        let size = self.info.value_size as usize;
        if [PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH].contains(&self.info.kind) {
            value.chunks_mut(size.next_multiple_of(8)).for_each(|part| part[size..].fill(0));
        }
        value
    }

    /// The form in which keys are compared: for a trie, the bits beyond the prefix do not count.
    fn comparable(&self, key: &[u8]) -> Result<Vec<u8>, i32> {
        let mut key = key.to_vec();
        if self.info.kind == LPM_TRIE {
            let bits = number(&key) as usize;
            if bits > (key.len() - 4) * 8 {
                return Err(EINVAL);
            }
            mask(&mut key[4..], bits);
        }
        Ok(key)
    }

    fn longest_match(&self, key: &[u8]) -> Option<Vec<u8>> {
        let asked = number(key);
        let fits = |stored: &Vec<u8>| {
            let bits = number(stored);
            let mut data = key[4..].to_vec();
            mask(&mut data, bits as usize);
            bits <= asked && data == stored[4..]
        };
        let matching = self.entries.iter().filter(|(stored, _)| fits(stored));
        let best = matching.max_by_key(|(stored, _)| number(stored))?;
        Some(best.1.1.clone())
    }
}

/// Clears the bits behind the first `bits`.
fn mask(data: &mut [u8], bits: usize) {
    for (i, byte) in data.iter_mut().enumerate() {
        let kept = bits.saturating_sub(i * 8).min(8);
        *byte &= u8::try_from(0xff00_u32 >> kept & 0xff).unwrap_or(0);
    }
}

/// The first four bytes as a number.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |first| u32::from_ne_bytes(*first))
}

/// Kinds whose keys are indices below `max_entries`.
const fn indexed(kind: u32) -> bool {
    preallocated(kind)
        || matches!(kind, PROG_ARRAY | PERF_EVENT_ARRAY | ARRAY_OF_MAPS | DEVMAP | CPUMAP | XSKMAP)
}

/// Kinds whose entries are all there from the start.
const fn preallocated(kind: u32) -> bool {
    matches!(kind, ARRAY | PERCPU_ARRAY)
}

/// For maps of objects: which.
const fn of_objects(kind: u32) -> Option<ObjectKind> {
    match kind {
        PROG_ARRAY => Some(ObjectKind::Program),
        ARRAY_OF_MAPS | HASH_OF_MAPS => Some(ObjectKind::Map),
        _ => None,
    }
}
