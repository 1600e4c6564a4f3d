//! The transmit ring that a packet socket shares with the kernel (`PACKET_TX_RING`, version 2).
//!
//! As in the receive ring, a slot belongs to whom its status says.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::super::super::sys;

/// Bytes of a slot: the header and the longest frame of an ordinary MTU.
const SLOT: usize = 2048;
const SLOTS: u32 = 1024;
const BLOCK: u32 = 64 << 10;
const BYTES: usize = SLOTS as usize * SLOT;
/// Where a frame begins in its slot: `TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)`.
const DATA: usize = 32;
/// `tp_len` of `struct tpacket2_hdr`.
const LENGTH: usize = 4;

/// `tp_status` bits.
const TP_STATUS_AVAILABLE: u32 = 0;
const TP_STATUS_SEND_REQUEST: u32 = 1;
const TP_STATUS_WRONG_FORMAT: u32 = 4;

/// What became of a frame that was to be put into the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits to be sent.
    Waits,
    /// All slots wait to be sent.
    Full,
    /// The kernel did not understand the slot's last frame, which was not sent; this one waits.
    AfterWrong,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct TransmitRing {
    start: NonNull<u8>,
    next: u32,
}

// SAFETY: the mapping belongs to the process and is reached through this value only.
unsafe impl Send for TransmitRing {}

impl TransmitRing {
    /// Longest frame in bytes.
    pub(crate) const LONGEST: usize = SLOT - DATA;

    /// Gives a packet socket that is not bound yet a ring.
    pub(crate) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let set =
            |option, value: libc::c_int| sys::set_option(socket, libc::SOL_PACKET, option, &value);
        set(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as libc::c_int)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK,
            tp_block_nr: BYTES as u32 / BLOCK,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS,
        };
        sys::set_option(socket, libc::SOL_PACKET, libc::PACKET_TX_RING, &request)?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other.
        let start = unsafe { mmap(ptr::null_mut(), BYTES, protection, flags, socket, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, next: 0 })
    }

    /// Has a frame written into the next slot, if that is free; `write` says how long it is.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> Put {
        let status = self.status(self.next).load(Ordering::Acquire);
        let put = match status {
            TP_STATUS_AVAILABLE => Put::Waits,
            TP_STATUS_WRONG_FORMAT => Put::AfterWrong,
            _ => return Put::Full,
        };
        // SAFETY: the slot lies within the mapping; its status says that it is ours, which was loaded
        // with acquire ordering; `self` is borrowed meanwhile. The slice begins behind the status.
        let slot = unsafe {
            let start = self.slot(self.next).add(LENGTH);
            std::slice::from_raw_parts_mut(start.as_ptr(), SLOT - LENGTH)
        };
        let length = write(&mut slot[DATA - LENGTH..]).min(Self::LONGEST);
        slot[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        self.status(self.next).store(TP_STATUS_SEND_REQUEST, Ordering::Release);
        self.next = (self.next + 1) % SLOTS;
        put
    }

    /// Frames that wait to be sent, or are being sent.
    pub(crate) fn unsent(&self) -> u32 {
        let waits = |slot: &u32| {
            let status = self.status(*slot).load(Ordering::Acquire);
            status != TP_STATUS_AVAILABLE && status != TP_STATUS_WRONG_FORMAT
        };
        (0..SLOTS).filter(waits).count() as u32
    }

    /// Whether the slot that was put last waits still: then others may, too.
    pub(crate) fn pending(&self) -> bool {
        let last = (self.next + SLOTS - 1) % SLOTS;
        self.status(last).load(Ordering::Acquire) == TP_STATUS_SEND_REQUEST
    }

    fn slot(&self, slot: u32) -> NonNull<u8> {
        // SAFETY: slots are below SLOTS, and the mapping holds so many.
        unsafe { self.start.add(slot as usize * SLOT) }
    }

    fn status(&self, slot: u32) -> &AtomicU32 {
        // SAFETY: slots are aligned to 2048 bytes and begin with their status, which the kernel and we
        // only touch as an atomic word; the mapping outlives the borrow.
        unsafe { self.slot(slot).cast::<AtomicU32>().as_ref() }
    }
}

impl Drop for TransmitRing {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nobody else has an address in it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), BYTES) };
    }
}
