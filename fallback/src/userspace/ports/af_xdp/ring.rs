//! The memory that an AF_XDP socket shares with the kernel: its frames and its four rings.
//!
//! A [`Chunk`] stands for one chunk of the frame memory and cannot be copied: whoever has it is the
//! one who may touch that memory. Putting it into a ring gives it to the kernel, which gives it back
//! by another ring. So no frame is touched by two at once, and no address leaves this file.
#![expect(unsafe_code, reason = "memory that is shared with the kernel")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::net::sockopt;
use rustix::net::xdp::{
    XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING,
    XdpDesc, XdpDescOptions, XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};

/// Bytes of a chunk: a page, the most that the kernel takes.
pub(super) const CHUNK: usize = 4096;
/// Slots of the receive, transmit and completion rings.
pub(super) const SLOTS: u32 = 2048;
/// Chunks, and slots of the fill ring, which can hold all of them.
pub(super) const CHUNKS: u32 = 2 * SLOTS;

/// One chunk of the frame memory, owned.
#[derive(Debug)]
pub(super) struct Chunk(u32);

/// Where a frame lies.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) chunk: Chunk,
    /// Byte of the chunk where the frame starts, and behind its end.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A mapping that ends with its owner.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn anonymous(bytes: usize) -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, flags) }?;
        Self::at(start.cast(), bytes)
    }

    fn of_socket(socket: BorrowedFd<'_>, bytes: usize, offset: u64) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: as above.
        let start = unsafe { mmap(ptr::null_mut(), bytes, protection, flags, socket, offset) }?;
        Self::at(start.cast(), bytes)
    }

    fn at(start: *mut u8, bytes: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    /// The address of something of the size of `T`, so often, at an offset.
    fn field<T>(&self, offset: u64, count: usize) -> io::Result<NonNull<T>> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let fits = offset.checked_add(count * size_of::<T>()).is_some_and(|end| end <= self.bytes);
        if !fits || !offset.is_multiple_of(align_of::<T>()) {
            return Err(io::Error::other("the kernel's ring does not lie where it says"));
        }
        // SAFETY: the offset is within the mapping, which was checked.
        Ok(unsafe { self.start.add(offset) }.cast())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nobody has an address in the mapping but its owner, who is being dropped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// One ring: slots of `T` between two positions that count up and wrap around.
#[derive(Debug)]
struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    slots: NonNull<T>,
    count: u32,
    /// Our own position, ahead of the shared one until it is published.
    own: u32,
    /// The kernel's position as last seen.
    theirs: u32,
    _memory: Mapping,
}

// SAFETY: the pointers are into the mapping, which moves along.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        count: u32,
        page_offset: u64,
        offset: &XdpRingOffset,
    ) -> io::Result<Self> {
        let slots = usize::try_from(offset.desc).map_err(io::Error::other)?;
        let bytes = slots + count as usize * size_of::<T>();
        let memory = Mapping::of_socket(socket, bytes, page_offset)?;
        Ok(Self {
            producer: memory.field(offset.producer, 1)?,
            consumer: memory.field(offset.consumer, 1)?,
            flags: offset.flags.map(|flags| memory.field(flags, 1)).transpose()?,
            slots: memory.field(offset.desc, count as usize)?,
            count,
            own: 0,
            theirs: 0,
            _memory: memory,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: an aligned word of the mapping, which lives as long as the ring and is shared with
        // the kernel, that uses it atomically too.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// The slot of a position.
    fn slot(&self, position: u32) -> NonNull<T> {
        // SAFETY: counts are powers of two, so the masked position is below the count of slots, all of
        // which lie within the mapping.
        unsafe { self.slots.add((position & (self.count - 1)) as usize) }
    }

    fn needs_wakeup(&self) -> bool {
        const XDP_RING_NEED_WAKEUP: u32 = 1;
        // SAFETY: as for the positions.
        let flags = self.flags.map(|flags| unsafe { flags.as_ref() }.load(Ordering::Relaxed));
        flags.is_none_or(|flags| flags & XDP_RING_NEED_WAKEUP != 0)
    }
}

/// A ring that the kernel takes from: fill, transmit.
#[derive(Debug)]
struct Outgoing<T>(Ring<T>);

impl<T: Copy> Outgoing<T> {
    /// Puts something into the ring, unseen until [`Outgoing::publish`]; `false` when it is full.
    fn push(&mut self, value: T) -> bool {
        let ring = &mut self.0;
        if ring.own.wrapping_sub(ring.theirs) == ring.count {
            ring.theirs = ring.consumer().load(Ordering::Acquire);
            if ring.own.wrapping_sub(ring.theirs) == ring.count {
                return false;
            }
        }
        // SAFETY: the slot lies within the mapping, and the kernel reads only slots below the position
        // that is published after this.
        unsafe { ring.slot(ring.own).write(value) };
        ring.own = ring.own.wrapping_add(1);
        true
    }

    fn publish(&self) {
        self.0.producer().store(self.0.own, Ordering::Release);
    }
}

/// A ring that the kernel puts into: receive, completion.
#[derive(Debug)]
struct Incoming<T>(Ring<T>);

impl<T: Copy> Incoming<T> {
    fn pop(&mut self) -> Option<T> {
        let ring = &mut self.0;
        if ring.own == ring.theirs {
            ring.theirs = ring.producer().load(Ordering::Acquire);
            if ring.own == ring.theirs {
                return None;
            }
        }
        // SAFETY: the slot lies within the mapping, and the kernel wrote it before it published the
        // position that was loaded with acquire ordering.
        let value = unsafe { ring.slot(ring.own).read() };
        ring.own = ring.own.wrapping_add(1);
        Some(value)
    }

    /// Gives the slots that were read back to the kernel.
    fn release(&self) {
        self.0.consumer().store(self.0.own, Ordering::Release);
    }
}

/// The frame memory with the rings of one socket.
#[derive(Debug)]
pub(super) struct Shared {
    frames: Mapping,
    fill: Outgoing<u64>,
    receive: Incoming<XdpDesc>,
    transmit: Outgoing<XdpDesc>,
    completion: Incoming<u64>,
    /// Chunks that are nobody's yet.
    spare: Vec<Chunk>,
}

impl Shared {
    /// Registers memory with a socket that is not bound yet and maps its rings; every chunk is the
    /// kernel's to fill.
    pub(super) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut shared = Self::for_sending(socket)?;
        for chunk in shared.chunks_for_sending() {
            shared.give_back(chunk);
        }
        shared.publish();
        Ok(shared)
    }

    /// The same with every chunk left to be sent, and none to fill.
    pub(super) fn for_sending(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let bytes = CHUNKS as usize * CHUNK;
        let frames = Mapping::anonymous(bytes)?;
        sockopt::set_xdp_umem_reg(
            socket,
            XdpUmemReg {
                addr: frames.start.as_ptr().expose_provenance() as u64,
                len: bytes as u64,
                chunk_size: CHUNK as u32,
                headroom: 0,
                flags: XdpUmemRegFlags::empty(),
                tx_metadata_len: 0,
            },
        )?;
        sockopt::set_xdp_umem_fill_ring_size(socket, CHUNKS)?;
        sockopt::set_xdp_umem_completion_ring_size(socket, SLOTS)?;
        sockopt::set_xdp_rx_ring_size(socket, SLOTS)?;
        sockopt::set_xdp_tx_ring_size(socket, SLOTS)?;
        let at = sockopt::xdp_mmap_offsets(socket)?;
        Ok(Self {
            frames,
            fill: Outgoing(Ring::map(socket, CHUNKS, XDP_UMEM_PGOFF_FILL_RING, &at.fr)?),
            receive: Incoming(Ring::map(socket, SLOTS, XDP_PGOFF_RX_RING, &at.rx)?),
            transmit: Outgoing(Ring::map(socket, SLOTS, XDP_PGOFF_TX_RING, &at.tx)?),
            completion: Incoming(Ring::map(socket, SLOTS, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr)?),
            spare: (0..CHUNKS).map(Chunk).collect(),
        })
    }

    /// The next frame that the kernel received.
    pub(super) fn received(&mut self) -> Option<Placed> {
        loop {
            let desc = self.receive.pop()?;
            if let Some(placed) = placed(&desc) {
                return Some(placed);
            }
        }
    }

    /// The memory of a chunk.
    pub(super) fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        // SAFETY: chunks are below CHUNKS, so their memory is within the mapping; whoever has the chunk
        // has it from the kernel, which does not touch it until it is given back; and `self` is
        // borrowed, so that there is one such slice at a time.
        unsafe {
            let start = self.frames.start.add(chunk.0 as usize * CHUNK);
            std::slice::from_raw_parts_mut(start.as_ptr(), CHUNK)
        }
    }

    /// Gives a chunk to the kernel to receive into.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        // The fill ring holds every chunk that there is, so it is never full.
        let _ = self.fill.push(u64::from(chunk.0) * CHUNK as u64);
    }

    /// Gives a frame to the kernel to send; back when the ring is full.
    pub(super) fn send(&mut self, chunk: Chunk, start: u32, end: u32) -> Result<(), Chunk> {
        let desc = XdpDesc {
            addr: u64::from(chunk.0) * CHUNK as u64 + u64::from(start),
            len: end.saturating_sub(start),
            options: XdpDescOptions::empty(),
        };
        if self.transmit.push(desc) { Ok(()) } else { Err(chunk) }
    }

    /// Takes the chunks that were sent back for receiving; how many.
    pub(super) fn recycle(&mut self) -> u64 {
        let mut sent = 0;
        while let Some(address) = self.completion.pop() {
            if let Some(chunk) = chunk_of(address) {
                self.give_back(chunk);
            }
            sent += 1;
        }
        if sent > 0 {
            self.completion.release();
        }
        sent
    }

    /// The chunks that were left to be sent.
    pub(super) fn chunks_for_sending(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.spare)
    }

    /// Takes the chunks that were sent, for sending again.
    pub(super) fn completed(&mut self, mut free: impl FnMut(Chunk)) {
        while let Some(address) = self.completion.pop() {
            if let Some(chunk) = chunk_of(address) {
                free(chunk);
            }
        }
        self.completion.release();
    }

    /// Makes everything since the last time known to the kernel.
    pub(super) fn publish(&mut self) {
        self.receive.release();
        self.fill.publish();
        self.transmit.publish();
    }

    /// Whether there are frames to send that the kernel has to be told of.
    pub(super) fn wants_kick(&self) -> bool {
        self.unsent() > 0 && self.transmit.0.needs_wakeup()
    }

    /// Frames that the kernel has not taken from the ring yet.
    pub(super) fn unsent(&self) -> u32 {
        let taken = self.transmit.0.consumer().load(Ordering::Acquire);
        self.transmit.0.own.wrapping_sub(taken)
    }
}

fn chunk_of(address: u64) -> Option<Chunk> {
    let chunk = u32::try_from(address / CHUNK as u64).ok()?;
    (chunk < CHUNKS).then_some(Chunk(chunk))
}

/// A received frame; `None` for a place that cannot be, which no kernel names.
fn placed(desc: &XdpDesc) -> Option<Placed> {
    let start = (desc.addr % CHUNK as u64) as u32;
    let end = start.checked_add(desc.len)?;
    let chunk = chunk_of(desc.addr)?;
    (end as usize <= CHUNK).then_some(Placed { chunk, start, end })
}
