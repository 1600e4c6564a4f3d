//! Maps of a running machine for its users: the same trait as a kernel's map.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hoist_bpf::kernel::{Entries, KernelError};
use hoist_bpf::module::MapId;
use hoist_offload::attach::{MapDef, MapHandle, MapOps};
use hoist_offload::error::Error;

use super::{Errno, Maps};

/// A handle to a map of `holder`, which is locked for each call; `None` without such a map.
pub fn handle<T>(holder: &Arc<Mutex<T>>, map: MapId) -> Option<MapHandle>
where
    T: AsMut<Maps> + Send + 'static,
{
    let mut guard = holder.lock().unwrap_or_else(PoisonError::into_inner);
    let maps = guard.as_mut();
    let def = maps.def(map)?.clone();
    let value_bytes = maps.user().value_bytes(map)?;
    drop(guard);
    Some(MapHandle(Arc::new(Handle { holder: Arc::clone(holder), map, def, value_bytes })))
}

struct Handle<T> {
    holder: Arc<Mutex<T>>,
    map: MapId,
    def: MapDef,
    value_bytes: usize,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("map", &self.map).field("def", &self.def).finish()
    }
}

impl<T> Handle<T> {
    /// A thread that panicked while it held the machine left the maps as whole as any operation.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let wrong = |what: &str, has: usize, wants: usize| Error::Input {
            what: format!("map {}: the {what} has {has} bytes, not {wants}", self.def.name),
            hint: None,
        };
        let key_bytes = self.def.key_size as usize;
        if key.len() != key_bytes {
            return Err(wrong("key", key.len(), key_bytes));
        }
        match value {
            Some(v) if v.len() != self.value_bytes => {
                Err(wrong("value", v.len(), self.value_bytes))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, operation: &str, errno: Errno) -> Error {
        let hint = match errno {
            Errno::EPERM => {
                Some("the map is read-only for user space: it is frozen or holds constants")
            }
            Errno::E2BIG => Some("the map is full, or the key is not below its size"),
            Errno::EBADF => {
                Some("a map or a program as a value is its index in the object, counted from 1")
            }
            _ => None,
        };
        let error = KernelError::new(operation, format!("map {}", self.def.name), errno.0);
        Error::Kernel { error, hint: hint.map(str::to_owned) }
    }
}

impl<T: AsMut<Maps> + Send> MapOps for Handle<T> {
    fn def(&self) -> &MapDef {
        &self.def
    }

    fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.check(key, None)?;
        match self.lock().as_mut().user().lookup(self.map, key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed("BPF_MAP_LOOKUP_ELEM", errno)),
        }
    }

    fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check(key, Some(value))?;
        let done = self.lock().as_mut().user().update(self.map, key, value, 0);
        done.map_err(|errno| self.failed("BPF_MAP_UPDATE_ELEM", errno))
    }

    fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        self.check(key, None)?;
        match self.lock().as_mut().user().delete(self.map, key) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(self.failed("BPF_MAP_DELETE_ELEM", errno)),
        }
    }

    fn entries(&self) -> Result<Entries, Error> {
        let mut guard = self.lock();
        let mut user = guard.as_mut().user();
        let mut entries = Entries::new();
        let mut key = None;
        loop {
            let next = user.next_key(self.map, key.as_deref());
            let next = next.map_err(|errno| self.failed("BPF_MAP_GET_NEXT_KEY", errno))?;
            let Some(next) = next else { return Ok(entries) };
            match user.lookup(self.map, &next, 0) {
                Ok(value) => entries.push((next.clone(), value)),
                // An empty slot of an array of maps or programs.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(self.failed("BPF_MAP_LOOKUP_ELEM", errno)),
            }
            key = Some(next);
        }
    }
}
