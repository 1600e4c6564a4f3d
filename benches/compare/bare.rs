//! A bare AF_XDP receive loop: what the userspace engine's port is compared with. One socket, its
//! rings, and a loop that gives every frame straight back.
#![expect(unsafe_code, reason = "memory that is shared with the kernel")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc,
    XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

const CHUNK: u64 = 4096;
const SLOTS: u32 = 2048;
const CHUNKS: u32 = 4096;

/// A socket that receives, and nothing else.
#[derive(Debug)]
pub(crate) struct Bare {
    socket: OwnedFd,
    receive: Ring<XdpDesc>,
    fill: Ring<u64>,
    /// Frame memory, receive ring and fill ring, to be given back.
    mappings: [(usize, usize); 3],
}

#[derive(Debug)]
struct Ring<T> {
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    slots: *mut T,
    mask: u32,
}

// SAFETY: the pointers are into mappings of the process, and one thread has them at a time.
unsafe impl Send for Bare {}

impl Bare {
    /// Binds a socket to queue 0 of an interface of the thread's network namespace.
    pub(crate) fn open(ifindex: u32) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let bytes = (u64::from(CHUNKS) * CHUNK) as usize;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let frames =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }?;
        sockopt::set_xdp_umem_reg(
            &socket,
            XdpUmemReg {
                addr: frames.expose_provenance() as u64,
                len: bytes as u64,
                chunk_size: CHUNK as u32,
                headroom: 0,
                flags: XdpUmemRegFlags::empty(),
                tx_metadata_len: 0,
            },
        )?;
        sockopt::set_xdp_umem_fill_ring_size(&socket, CHUNKS)?;
        sockopt::set_xdp_umem_completion_ring_size(&socket, SLOTS)?;
        sockopt::set_xdp_rx_ring_size(&socket, SLOTS)?;
        let at = sockopt::xdp_mmap_offsets(&socket)?;
        let (receive, first) = map::<XdpDesc>(&socket, SLOTS, XDP_PGOFF_RX_RING, &at.rx)?;
        let (fill, second) = map::<u64>(&socket, CHUNKS, XDP_UMEM_PGOFF_FILL_RING, &at.fr)?;
        for chunk in 0..CHUNKS {
            // SAFETY: the ring has so many slots, and the kernel reads none before the position below.
            unsafe { fill.slots.add(chunk as usize).write(u64::from(chunk) * CHUNK) };
        }
        // SAFETY: the position is an aligned word of the mapping.
        unsafe { (*fill.producer).store(CHUNKS, Ordering::Release) };
        let flags = SocketAddrXdpFlags::XDP_COPY | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        bind(&socket, &SocketAddrXdp::new(flags, ifindex, 0))?;
        let mappings = [(frames as usize, bytes), first, second];
        Ok(Self { socket, receive, fill, mappings })
    }

    pub(crate) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Takes at most 64 frames and gives their memory back; how many there were.
    pub(crate) fn receive(&mut self) -> u32 {
        // SAFETY: positions are aligned words of the mappings; slots are masked into the rings; a
        // received slot was published by the kernel, a fill slot is ours because there are as many as
        // chunks.
        unsafe {
            let consumer = (*self.receive.consumer).load(Ordering::Relaxed);
            let there = (*self.receive.producer).load(Ordering::Acquire).wrapping_sub(consumer);
            let frames = there.min(64);
            if frames == 0 {
                return 0;
            }
            let filled = (*self.fill.producer).load(Ordering::Relaxed);
            for at in 0..frames {
                let slot = consumer.wrapping_add(at) & self.receive.mask;
                let desc = self.receive.slots.add(slot as usize).read();
                let slot = filled.wrapping_add(at) & self.fill.mask;
                self.fill.slots.add(slot as usize).write(desc.addr & !(CHUNK - 1));
            }
            (*self.receive.consumer).store(consumer.wrapping_add(frames), Ordering::Release);
            (*self.fill.producer).store(filled.wrapping_add(frames), Ordering::Release);
            frames
        }
    }
}

/// A mapping, as an address and a length.
type Mapped = (usize, usize);

fn map<T>(
    socket: &OwnedFd,
    count: u32,
    page: u64,
    at: &XdpRingOffset,
) -> io::Result<(Ring<T>, Mapped)> {
    let bytes = at.desc as usize + count as usize * size_of::<T>();
    let (protection, flags) =
        (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::POPULATE);
    // SAFETY: a new mapping at an address of the kernel's choice, as long as the kernel's offsets need.
    let start = unsafe { mmap(ptr::null_mut(), bytes, protection, flags, socket.as_fd(), page) }?
        .cast::<u8>();
    // SAFETY: the offsets are the kernel's own for this mapping.
    let ring = unsafe {
        Ring {
            producer: start.add(at.producer as usize).cast(),
            consumer: start.add(at.consumer as usize).cast(),
            slots: start.add(at.desc as usize).cast(),
            mask: count - 1,
        }
    };
    Ok((ring, (start as usize, bytes)))
}

impl Drop for Bare {
    fn drop(&mut self) {
        for (start, bytes) in self.mappings {
            // SAFETY: the mapping is this value's alone, and nothing is read from it after this.
            let _ = unsafe { munmap(ptr::with_exposed_provenance_mut(start), bytes) };
        }
    }
}
