//! Maps of AF_XDP sockets to redirect to (`net/xdp/xskmap.c`). There are no sockets here: a value is a
//! number that names where frames go, to whoever drives the machine.

use hoist_offload::attach::MapDef;

use super::array::{index, next_index};
use super::flags::update;
use super::memory::Memory;
use super::table::{Place, Table, World};
use super::{Errno, Redirect};

/// One map of sockets. An entry is whether there is one, then its number.
#[derive(Debug)]
pub(super) struct Xskmap {
    memory: Memory,
    entries: u32,
}

impl Xskmap {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let memory = Memory::reserve(8 * u64::from(def.max_entries))?;
        Ok(Self { memory, entries: def.max_entries })
    }

    fn get(&self, key: u32) -> Option<u32> {
        if key >= self.entries {
            return None;
        }
        let (held, number) = self.memory.bytes(8 * u64::from(key), 8).split_at(4);
        (index(held) != 0).then(|| index(number))
    }

    fn put(&mut self, key: u32, socket: Option<u32>) {
        let (held, number) = self.memory.bytes_mut(8 * u64::from(key), 8).split_at_mut(4);
        held.copy_from_slice(&u32::from(socket.is_some()).to_ne_bytes());
        number.copy_from_slice(&socket.unwrap_or(0).to_ne_bytes());
    }
}

impl Table for Xskmap {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn lookup(&mut self, key: &[u8], _cpu: u32) -> Option<Place> {
        self.get(index(key)).map(|_| Place::Socket)
    }

    fn redirect(&self, key: u32) -> Option<Redirect> {
        self.get(key).map(Redirect::Socket)
    }

    /// `xsk_map_lookup_elem_sys_only`.
    fn read(&mut self, _key: &[u8], _value: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `xsk_map_update_elem`.
    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, _world: &World) -> Result<(), Errno> {
        let (key, socket) = (index(key), index(value));
        if flags > update::EXIST {
            return Err(Errno::EINVAL);
        }
        if key >= self.entries {
            return Err(Errno::E2BIG);
        }
        if (socket as i32) < 0 {
            return Err(Errno::EBADF);
        }
        match (self.get(key), flags) {
            (Some(old), _) if old == socket => {}
            (Some(_), update::NOEXIST) => return Err(Errno::EEXIST),
            (None, update::EXIST) => return Err(Errno::ENOENT),
            _ => self.put(key, Some(socket)),
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let key = index(key);
        if key >= self.entries {
            return Err(Errno::EINVAL);
        }
        self.put(key, None);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        next_index(self.entries, key, next)
    }
}
