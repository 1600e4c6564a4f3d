//! The values of one map: one private mapping, reserved when the map is made, given pages when they
//! are touched. It never moves, so that compiled code may hold its address.
//!
//! Programs write here through raw pointers, between calls into the maps. No reference into the
//! mapping outlives one call, and the machine that runs programs is locked meanwhile.
#![expect(unsafe_code, reason = "memory shared between programs and tables")]

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::Errno;

/// Miri knows no mapping but a plain one.
const FLAGS: MapFlags = match cfg!(miri) {
    true => MapFlags::PRIVATE,
    false => MapFlags::PRIVATE.union(MapFlags::NORESERVE),
};

/// Zero-filled memory.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone; nothing about it is bound to a thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Reserves `len` bytes of zeroes.
    pub(super) fn reserve(len: u64) -> Result<Self, Errno> {
        let len = usize::try_from(len).map_err(|_| Errno::ENOMEM)?.max(1);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, FLAGS)
        };
        let start = start.map_err(|error| Errno(error.raw_os_error()))?;
        let start = NonNull::new(start.cast::<u8>()).ok_or(Errno::ENOMEM)?;
        Ok(Self { start, len })
    }

    /// Where it begins.
    pub(super) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The address of `len` bytes at `offset`; `None` outside.
    #[inline]
    pub(super) fn at(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if end > self.len as u64 {
            return None;
        }
        // SAFETY: offset is within the mapping.
        Some(unsafe { self.start.add(offset as usize) })
    }

    /// Bytes to read.
    ///
    /// # Panics
    /// The range is outside: tables compute ranges from numbers of entries that they checked.
    #[inline]
    pub(super) fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        let start = self.at(offset, len as u64).expect("a table stays within its memory");
        // SAFETY: within the mapping, initialised (zeroes at first), and nothing writes while the
        // borrow of this value lives.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// As many bytes as the type says; `None` outside.
    #[inline]
    pub(super) fn array<const BYTES: usize>(&self, offset: u64) -> Option<&[u8; BYTES]> {
        let start = self.at(offset, BYTES as u64)?;
        // SAFETY: within the mapping, of alignment 1, initialised, and nothing writes while the
        // borrow of this value lives.
        Some(unsafe { start.cast::<[u8; BYTES]>().as_ref() })
    }

    /// Bytes to write.
    ///
    /// # Panics
    /// As [`Memory::bytes`].
    #[inline]
    pub(super) fn bytes_mut(&mut self, offset: u64, len: usize) -> &mut [u8] {
        let start = self.at(offset, len as u64).expect("a table stays within its memory");
        // SAFETY: within the mapping, and the borrow of this value is unique.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly what `reserve` mapped; a failure would leave it mapped, which is safe.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}
