//! What user space does to maps: `bpf(2)`, command by command (`kernel/bpf/syscall.c`).

use hoist_bpf::module::MapId;

use super::flags::{create, kind, update};
use super::{Errno, Map, Maps};

/// What user space may do to a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permissions {
    /// Not made with `BPF_F_WRONLY`.
    pub(super) read: bool,
    /// Not made with `BPF_F_RDONLY`, and not frozen.
    pub(super) write: bool,
}

impl Permissions {
    /// Those that a map is made with (`bpf_get_file_flag`).
    pub(super) const fn of(flags: u32) -> Self {
        Self { read: flags & create::WRONLY == 0, write: flags & create::RDONLY == 0 }
    }
}

/// The maps from user space. Keys and values are those of `bpf(2)`: a per-CPU value is one value
/// after another, each of the value size rounded up to 8, for every possible CPU. A map or program as
/// a value is its index in the module plus one, where a kernel's map takes a descriptor.
#[derive(Debug)]
pub struct User<'a> {
    maps: &'a mut Maps,
}

impl<'a> User<'a> {
    pub(super) const fn new(maps: &'a mut Maps) -> Self {
        Self { maps }
    }

    /// Bytes of a value as user space sees it (`bpf_map_value_size`); `None` without such a map.
    #[must_use]
    pub fn value_bytes(&self, map: MapId) -> Option<usize> {
        let def = self.maps.def(map)?;
        let one = def.value_size as usize;
        Some(match def.kind {
            kind::PERCPU_HASH | kind::LRU_PERCPU_HASH | kind::PERCPU_ARRAY => {
                one.next_multiple_of(8) * self.maps.world.cpus as usize
            }
            kind::PROG_ARRAY
            | kind::PERF_EVENT_ARRAY
            | kind::ARRAY_OF_MAPS
            | kind::HASH_OF_MAPS => 4,
            _ => one,
        })
    }

    /// `BPF_MAP_LOOKUP_ELEM`.
    ///
    /// # Errors
    /// The kernel's, `ENOENT` for an absent key. A Bloom filter is asked by [`User::contains`].
    pub fn lookup(&mut self, map: MapId, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        let (entry, _) = self.entry(map)?;
        if flags & !update::LOCK != 0 {
            return Err(Errno::EINVAL);
        }
        if !entry.user.read {
            return Err(Errno::EPERM);
        }
        entry.lockable(flags)?;
        let mut value = Vec::new();
        self.check(map, Some(key), None)?;
        let (entry, _) = self.entry(map)?;
        entry.table.read(key, &mut value)?;
        Ok(value)
    }

    /// `BPF_MAP_LOOKUP_ELEM` of a Bloom filter, which is given a value: whether it may hold it.
    ///
    /// # Errors
    /// The kernel's but for absence.
    pub fn contains(&mut self, map: MapId, value: &[u8]) -> Result<bool, Errno> {
        self.check(map, None, Some(value))?;
        let (entry, world) = self.entry(map)?;
        if world.def(map).is_none_or(|def| def.kind != kind::BLOOM_FILTER) {
            return Err(Errno::EINVAL);
        }
        if !entry.user.read {
            return Err(Errno::EPERM);
        }
        match entry.table.peek(&mut value.to_vec()) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// `BPF_MAP_UPDATE_ELEM`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn update(
        &mut self,
        map: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        let (entry, _) = self.entry(map)?;
        if !entry.user.write {
            return Err(Errno::EPERM);
        }
        entry.lockable(flags)?;
        self.check(map, Some(key), Some(value))?;
        let (entry, world) = self.entry(map)?;
        let done = entry.table.write(key, value, flags, world);
        self.settle(map);
        done
    }

    /// `BPF_MAP_DELETE_ELEM`.
    ///
    /// # Errors
    /// The kernel's, `ENOENT` for an absent key.
    pub fn delete(&mut self, map: MapId, key: &[u8]) -> Result<(), Errno> {
        if !self.entry(map)?.0.user.write {
            return Err(Errno::EPERM);
        }
        self.check(map, Some(key), None)?;
        let (entry, world) = self.entry(map)?;
        let done = entry.table.delete(key, world);
        self.settle(map);
        done
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take(&mut self, map: MapId, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        if flags & !update::LOCK != 0 {
            return Err(Errno::EINVAL);
        }
        let (entry, world) = self.entry(map)?;
        let kind = world.def(map).map_or(0, |def| def.kind);
        if !entry.user.read || !entry.user.write {
            return Err(Errno::EPERM);
        }
        if flags != 0 && matches!(kind, kind::QUEUE | kind::STACK) {
            return Err(Errno::EINVAL);
        }
        entry.lockable(flags)?;
        self.check(map, Some(key), None)?;
        let (entry, world) = self.entry(map)?;
        let mut value = Vec::new();
        let done = entry.table.take(key, &mut value, world);
        self.settle(map);
        done.map(|()| value)
    }

    /// `BPF_MAP_GET_NEXT_KEY`; `None` at the end.
    ///
    /// # Errors
    /// The kernel's, but for the end.
    pub fn next_key(&mut self, map: MapId, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Errno> {
        if !self.entry(map)?.0.user.read {
            return Err(Errno::EPERM);
        }
        self.check(map, key, None)?;
        if key.is_some_and(<[u8]>::is_empty) {
            // `__bpf_copy_key`: a key for a map without keys.
            return Err(Errno::EINVAL);
        }
        let mut next = Vec::new();
        match self.entry(map)?.0.table.next_key(key, &mut next) {
            Ok(()) => Ok(Some(next)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// `BPF_MAP_FREEZE`: user space may not write any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn freeze(&mut self, map: MapId) -> Result<(), Errno> {
        let (entry, _) = self.entry(map)?;
        if !entry.plain {
            return Err(Errno::ENOTSUPP);
        }
        if !entry.user.write {
            return Err(Errno::EPERM);
        }
        entry.user.write = false;
        Ok(())
    }

    fn entry(&mut self, map: MapId) -> Result<(&mut Map, &super::World), Errno> {
        let maps = &mut *self.maps;
        let entry = maps.maps.get_mut(map.0 as usize).and_then(Option::as_mut);
        Ok((entry.ok_or(Errno::EBADF)?, &maps.world))
    }

    /// The system call reads as many bytes as the map's sizes say; here slices have lengths.
    fn check(&self, map: MapId, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Errno> {
        let def = self.maps.def(map).ok_or(Errno::EBADF)?;
        let key_fits = key.is_none_or(|key| key.len() == def.key_size as usize);
        let value_fits = value.is_none_or(|value| Some(value.len()) == self.value_bytes(map));
        if key_fits && value_fits { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// No program holds addresses between runs, so that deleted values are gone at once.
    fn settle(&mut self, map: MapId) {
        if let Ok(entry) = self.maps.map_mut(map)
            && !entry.dirty
            && entry.table.is_dirty()
        {
            entry.table.end_run();
        }
    }
}

impl Map {
    /// `BPF_F_LOCK` needs a lock in the value.
    const fn lockable(&self, flags: u64) -> Result<(), Errno> {
        if flags & update::LOCK != 0 && self.lock.is_none() { Err(Errno::EINVAL) } else { Ok(()) }
    }
}
