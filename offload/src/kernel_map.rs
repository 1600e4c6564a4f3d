//! Maps that live in the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::kernel::{Entries, Kernel, KernelError, MapInfo};
use hoist_bpf::module::Map;
use hoist_bpf::names::is_per_cpu;

use crate::attach::{MapDef, MapHandle, MapOps};
use crate::error::Error;

/// A map behind a descriptor.
#[derive(Debug)]
pub struct KernelMap {
    kernel: Arc<dyn Kernel>,
    fd: Arc<OwnedFd>,
    def: MapDef,
    id: u32,
    /// Bytes of one whole value: of all CPUs, for per-CPU maps.
    value_bytes: usize,
}

impl KernelMap {
    /// A map of a module that was just loaded, with the module's whole name and types.
    ///
    /// # Errors
    /// The kernel's refusal to describe it.
    pub fn of_module(kernel: &Arc<dyn Kernel>, fd: Arc<OwnedFd>, map: &Map) -> Result<Self, Error> {
        let info = kernel.map_info(fd.as_fd())?;
        let types = match (map.key_type_id, map.value_type_id) {
            (None, None) => None,
            (key, value) => Some((key.unwrap_or(0), value.unwrap_or(0))),
        };
        Self::new(kernel, fd, &info, map.name.clone(), types)
    }

    /// A map found in the kernel, under the name its pin or its creator gave it. Its types refer to
    /// the BTF object that the kernel keeps with it.
    ///
    /// # Errors
    /// The kernel's refusal to describe it.
    pub fn found(kernel: &Arc<dyn Kernel>, fd: OwnedFd, name: String) -> Result<Self, Error> {
        let info = kernel.map_info(fd.as_fd())?;
        let types = (info.btf_id != 0).then_some((info.btf_key_type_id, info.btf_value_type_id));
        Self::new(kernel, Arc::new(fd), &info, name, types)
    }

    fn new(
        kernel: &Arc<dyn Kernel>,
        fd: Arc<OwnedFd>,
        info: &MapInfo,
        name: String,
        types: Option<(u32, u32)>,
    ) -> Result<Self, Error> {
        let one = info.value_size as usize;
        let value_bytes = if is_per_cpu(info.kind) {
            one.next_multiple_of(8) * kernel.possible_cpus()?
        } else {
            one
        };
        let def = MapDef {
            name,
            kind: info.kind,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.flags,
            types,
        };
        Ok(Self { kernel: Arc::clone(kernel), fd, def, id: info.id, value_bytes })
    }

    /// The map, shared.
    #[must_use]
    pub fn handle(self) -> MapHandle {
        MapHandle(Arc::new(self))
    }

    /// Its descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn check(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let wrong = |what: &str, has: usize, wants: usize| Error::Input {
            what: format!("map {}: the {what} has {has} bytes, not {wants}", self.def.name),
            hint: None,
        };
        if key.len() != self.def.key_size as usize {
            return Err(wrong("key", key.len(), self.def.key_size as usize));
        }
        match value {
            Some(v) if v.len() != self.value_bytes => {
                Err(wrong("value", v.len(), self.value_bytes))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, mut error: KernelError) -> Error {
        // The door knows a descriptor; the reader knows a name.
        error.object = format!("map {}", self.def.name);
        const EPERM: i32 = 1;
        const E2BIG: i32 = 7;
        let hint = match error.errno {
            EPERM => Some("the map is read-only for user space: it is frozen or holds constants"),
            E2BIG => Some("the map is full: delete an entry first"),
            _ => None,
        };
        Error::Kernel { error, hint: hint.map(str::to_owned) }
    }
}

impl MapOps for KernelMap {
    fn def(&self) -> &MapDef {
        &self.def
    }

    fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.check(key, None)?;
        self.kernel.map_lookup(self.fd(), key, self.value_bytes).map_err(|e| self.failed(e))
    }

    fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check(key, Some(value))?;
        self.kernel.map_update(self.fd(), key, value, 0).map_err(|e| self.failed(e))
    }

    fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        self.check(key, None)?;
        self.kernel.map_delete(self.fd(), key).map_err(|e| self.failed(e))
    }

    fn entries(&self) -> Result<Entries, Error> {
        self.kernel
            .map_entries(self.fd(), self.def.key_size as usize, self.value_bytes)
            .map_err(|e| self.failed(e))
    }

    fn id(&self) -> Option<u32> {
        Some(self.id)
    }
}
