//! The receive ring that a packet socket shares with the kernel (`PACKET_RX_RING`, version 2).
//!
//! A slot belongs to whom its status says: the kernel fills one that is the kernel's and makes it ours;
//! we make it the kernel's again. So no slot is touched by two at once.
#![expect(unsafe_code, reason = "memory that is shared with the kernel")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::super::sys;
use crate::userspace::vm::Frame;

pub(super) mod transmit;

/// Bytes of a slot: the kernel's header, headroom, and a page's frame with room behind it.
pub(super) const SLOT: usize = 8192;
const SLOTS: u32 = 1024;
/// Slots lie in blocks of whole pages.
const BLOCK: u32 = 64 << 10;
/// Room before each frame: the headroom of native XDP, and a tag that is put back into the frame.
const RESERVED: libc::c_uint = Frame::HEADROOM + 4;
/// `struct virtio_net_hdr`, in front of each frame.
const VNET_HEADER: usize = 10;
/// `virtio_net_hdr.gso_type`: its offset, and the value for a frame that is one.
const GSO_TYPE: usize = 1;
const GSO_NONE: u8 = 0;

/// `tp_status` bits.
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;

/// What the kernel says of a frame in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Bytes of the frame, and how many of them are in the slot.
    pub(super) wire_bytes: u32,
    pub(super) held_bytes: u32,
    /// Byte of the slot where the frame starts.
    pub(super) start: u32,
    /// A tag that the kernel keeps beside the frame: protocol and control information.
    pub(super) tag: Option<(u16, u16)>,
    /// The frame was merged from several.
    pub(super) merged: bool,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    start: NonNull<u8>,
    next: u32,
}

// SAFETY: the mapping belongs to the process and is reached through this value only.
unsafe impl Send for Ring {}

impl Ring {
    /// Gives a packet socket that is not bound yet a ring.
    pub(super) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let set =
            |option, value: libc::c_int| sys::set_option(socket, libc::SOL_PACKET, option, &value);
        set(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as libc::c_int)?;
        set(libc::PACKET_VNET_HDR, 1)?;
        sys::set_option(socket, libc::SOL_PACKET, libc::PACKET_RESERVE, &RESERVED)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK,
            tp_block_nr: SLOTS * SLOT as u32 / BLOCK,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS,
        };
        sys::set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other.
        let start = unsafe { mmap(ptr::null_mut(), BYTES, protection, flags, socket, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, next: 0 })
    }

    /// The next frame, lent with its slot, which is the kernel's again afterwards.
    pub(super) fn take<R>(&mut self, work: impl FnOnce(Header, &mut [u8]) -> R) -> Option<R> {
        if self.status().load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the slot lies within the mapping; its status says that it is ours, which was loaded
        // with acquire ordering after the kernel had written the rest; `self` is borrowed meanwhile.
        // The status word itself, which the slice begins with, is not written through it.
        let slot = unsafe { std::slice::from_raw_parts_mut(self.slot().as_ptr(), SLOT) };
        let done = work(header(slot), slot);
        self.status().store(TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % SLOTS;
        Some(done)
    }

    fn slot(&self) -> NonNull<u8> {
        // SAFETY: `next` is below SLOTS, and the mapping holds so many slots.
        unsafe { self.start.add(self.next as usize * SLOT) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: slots are aligned to pages and begin with their status, which the kernel and we only
        // touch as an atomic word; the mapping outlives the borrow.
        unsafe { self.slot().cast::<AtomicU32>().as_ref() }
    }
}

const BYTES: usize = SLOTS as usize * SLOT;

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nobody else has an address in it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), BYTES) };
    }
}

/// Reads `struct tpacket2_hdr`. What points out of the slot, which the kernel never says, is cut.
fn header(slot: &[u8]) -> Header {
    let word = |at: usize| {
        slot.get(at..).and_then(|s| s.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
    };
    let half = |at: usize| {
        slot.get(at..).and_then(|s| s.first_chunk()).map_or(0, |b| u16::from_ne_bytes(*b))
    };
    let status = word(0);
    let start = u32::from(half(12)).clamp(RESERVED, SLOT as u32);
    let held_bytes = word(8).min(SLOT as u32 - start);
    let gso = slot.get((start as usize).saturating_sub(VNET_HEADER) + GSO_TYPE).copied();
    let protocol = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { 0x8100 } else { half(26) };
    Header {
        wire_bytes: word(4),
        held_bytes,
        start,
        tag: (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| (protocol, half(24))),
        merged: gso.is_some_and(|gso| gso != GSO_NONE),
    }
}
