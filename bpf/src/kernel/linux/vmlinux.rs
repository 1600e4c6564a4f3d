//! The kernel's own BTF. sysfs hands it out a page at a time, which for several megabytes takes longer
//! than all else that a probe asks; since Linux 6.16 it can be mapped instead.
#![expect(unsafe_code, reason = "the mapping is a raw pointer")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::kernel::{Bytes, KernelError};

const PATH: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn btf() -> Result<Option<Bytes>, KernelError> {
    let failed = |error| KernelError::io("read", PATH, &error);
    let file = match File::open(PATH) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if let Some(mapping) = Mapping::of(&file) {
        return Ok(Some(Box::new(mapping)));
    }
    let bytes = std::fs::read(PATH).map_err(failed)?;
    Ok(Some(Box::new(bytes)))
}

/// The kernel's pages, for reading.
struct Mapping {
    start: NonNull<c_void>,
    len: usize,
}

impl Mapping {
    /// Maps the whole file; `None` where the kernel does not let it be mapped.
    fn of(file: &File) -> Option<Self> {
        let len = usize::try_from(file.metadata().ok()?.len()).ok().filter(|len| *len > 0)?;
        // SAFETY: the kernel chooses an address where nothing is mapped.
        let start = unsafe {
            mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0).ok()?
        };
        NonNull::new(start).map(|start| Self { start, len })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped for reading until this is dropped; they lie in the kernel's
        // read-only data, which never changes or goes away.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, which no reference outlives.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

// SAFETY: the pages are only ever read, from whichever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mapped or not, the bytes are those that reading the file gives.
    #[test]
    fn mapped_bytes_are_the_files() {
        let Some(bytes) = btf().unwrap() else { return };
        assert_eq!((*bytes).as_ref(), std::fs::read(PATH).unwrap());
    }
}
