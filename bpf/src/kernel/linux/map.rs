//! Maps: creation and the operations on their entries.
//!
//! The kernel reads and writes as many bytes as the map was made for, whatever the caller passed. So
//! every call asks for the map's sizes first; that costs a fraction of a microsecond, and whole
//! tables are read in batches.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libbpf_rs::libbpf_sys as sys;

use super::sys::{descriptor, done, field_fd, object_name};
use super::{cpu, info};
use crate::kernel::{KernelError, MapSpec};

const BPF_F_NUMA_NODE: u32 = 1 << 2;
/// `enum bpf_map_type` values with one value per possible CPU.
const PER_CPU: [u32; 4] = [5, 6, 10, 21];
/// Types whose values are descriptors, 4 bytes each for user space.
const OF_DESCRIPTORS: [u32; 5] = [3, 4, 8, 12, 13];

pub(super) fn create(spec: &MapSpec<'_>) -> Result<OwnedFd, KernelError> {
    let (btf, key, value) =
        spec.btf.map_or((None, 0, 0), |(fd, key, value)| (Some(fd), key, value));
    let mut options = sys::bpf_map_create_opts {
        sz: size_of::<sys::bpf_map_create_opts>() as sys::size_t,
        btf_fd: field_fd(btf),
        btf_key_type_id: key,
        btf_value_type_id: value,
        inner_map_fd: field_fd(spec.inner),
        map_flags: spec.flags | spec.numa_node.map_or(0, |_| BPF_F_NUMA_NODE),
        map_extra: spec.extra,
        numa_node: spec.numa_node.unwrap_or(0),
        map_ifindex: spec.ifindex,
        ..Default::default()
    };
    let refused = |errno| KernelError::new("BPF_MAP_CREATE", format!("map {}", spec.name), errno);
    let first = create_once(spec, &options);
    if first.is_ok() || btf.is_none() {
        return first.map_err(refused);
    }
    // Some types take no BTF at all, and some kernels not this BTF; types are a convenience only.
    options.btf_fd = 0;
    options.btf_key_type_id = 0;
    options.btf_value_type_id = 0;
    create_once(spec, &options).map_err(refused)
}

fn create_once(spec: &MapSpec<'_>, options: &sys::bpf_map_create_opts) -> Result<OwnedFd, i32> {
    let name = object_name(&spec.name);
    // SAFETY: name and options outlive the call; the options hold no pointers.
    descriptor(unsafe {
        sys::bpf_map_create(
            spec.kind,
            name.as_ptr(),
            spec.key_size,
            spec.value_size,
            spec.max_entries,
            ptr::from_ref(options),
        )
    })
}

/// A map together with the sizes the kernel will read and write.
pub(super) struct Table<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) name: String,
    pub(super) key_len: usize,
    pub(super) value_len: usize,
    pub(super) max_entries: usize,
    /// `enum bpf_map_type`.
    pub(super) kind: u32,
    /// Every operation goes to a NIC, and there are no batches.
    pub(super) in_nic: bool,
}

impl<'a> Table<'a> {
    pub(super) fn of(fd: BorrowedFd<'a>) -> Result<Self, KernelError> {
        let info = info::map(fd)?;
        let value_len = if PER_CPU.contains(&info.kind) {
            (info.value_size as usize).next_multiple_of(8) * cpu::possible()?
        } else if OF_DESCRIPTORS.contains(&info.kind) {
            4
        } else {
            info.value_size as usize
        };
        Ok(Self {
            fd,
            key_len: info.key_size as usize,
            value_len,
            max_entries: info.max_entries as usize,
            kind: info.kind,
            in_nic: info.ifindex != 0,
            name: if info.name.is_empty() { format!("id {}", info.id) } else { info.name },
        })
    }

    /// The same table once the caller's idea of its sizes is confirmed.
    pub(super) fn expecting(
        self,
        key_len: usize,
        value_len: Option<usize>,
    ) -> Result<Self, KernelError> {
        self.check("key", key_len, self.key_len)?;
        self.check("value", value_len.unwrap_or(self.value_len), self.value_len)?;
        Ok(self)
    }

    pub(super) fn error(&self, operation: &str, errno: i32) -> KernelError {
        KernelError::new(operation, format!("map {}", self.name), errno)
    }

    /// Refuses a key or value of the wrong length before the kernel reads past it.
    pub(super) fn check(&self, what: &str, given: usize, need: usize) -> Result<(), KernelError> {
        if given == need {
            return Ok(());
        }
        let message = format!("the {what} has {given} bytes, the map's have {need}");
        Err(self.error("bpf", libc::EINVAL).saying(message))
    }

    pub(super) fn lookup(
        &self,
        key: &[u8],
        value_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        self.check("key", key.len(), self.key_len)?;
        self.check("value", value_len, self.value_len)?;
        let mut value = vec![0; self.value_len];
        // SAFETY: key and value have exactly the lengths that the kernel reads and writes.
        let returned = unsafe {
            sys::bpf_map_lookup_elem(
                self.fd.as_raw_fd(),
                key_pointer(key).cast(),
                value.as_mut_ptr().cast(),
            )
        };
        match done(returned) {
            Ok(()) => Ok(Some(value)),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(self.error("BPF_MAP_LOOKUP_ELEM", errno)),
        }
    }

    pub(super) fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), KernelError> {
        self.check("key", key.len(), self.key_len)?;
        self.check("value", value.len(), self.value_len)?;
        // SAFETY: key and value have exactly the lengths that the kernel reads.
        let returned = unsafe {
            sys::bpf_map_update_elem(
                self.fd.as_raw_fd(),
                key_pointer(key).cast(),
                value.as_ptr().cast(),
                flags,
            )
        };
        done(returned).map_err(|errno| self.error("BPF_MAP_UPDATE_ELEM", errno))
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<bool, KernelError> {
        self.check("key", key.len(), self.key_len)?;
        // SAFETY: the key has exactly the length that the kernel reads.
        let returned =
            unsafe { sys::bpf_map_delete_elem(self.fd.as_raw_fd(), key_pointer(key).cast()) };
        match done(returned) {
            Ok(()) => Ok(true),
            Err(libc::ENOENT) => Ok(false),
            Err(errno) => Err(self.error("BPF_MAP_DELETE_ELEM", errno)),
        }
    }

    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, KernelError> {
        if let Some(key) = key {
            self.check("key", key.len(), self.key_len)?;
        }
        let mut next = vec![0; self.key_len];
        let previous = key.map_or(ptr::null(), <[u8]>::as_ptr);
        // SAFETY: the keys have exactly the length that the kernel reads and writes; null is "first".
        let returned = unsafe {
            sys::bpf_map_get_next_key(
                self.fd.as_raw_fd(),
                previous.cast(),
                next.as_mut_ptr().cast(),
            )
        };
        match done(returned) {
            Ok(()) => Ok(Some(next)),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(self.error("BPF_MAP_GET_NEXT_KEY", errno)),
        }
    }
}

pub(super) fn freeze(map: BorrowedFd<'_>) -> Result<(), KernelError> {
    let table = Table::of(map)?;
    // SAFETY: takes a descriptor only.
    done(unsafe { sys::bpf_map_freeze(map.as_raw_fd()) })
        .map_err(|errno| table.error("BPF_MAP_FREEZE", errno))
}

/// Maps without keys (queues, stacks) insist on a null key.
fn key_pointer(key: &[u8]) -> *const u8 {
    if key.is_empty() { ptr::null() } else { key.as_ptr() }
}
