//! A socket that sends and never receives: for generators.

use std::os::fd::AsFd as _;

use hoist_bpf::kernel::KernelError;
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};

use super::ring::{CHUNK, Chunk, Shared};
use super::{AfXdp, KICKS};

/// A queue of an interface, to send by.
#[derive(Debug)]
pub struct Sender {
    port: AfXdp,
    free: Vec<Chunk>,
}

impl Sender {
    /// Longest frame in bytes.
    pub const LONGEST: usize = CHUNK;

    /// Opens a socket for a queue of an interface of the thread's network namespace. No program is
    /// attached, so nothing is received.
    ///
    /// # Errors
    /// The kernel's refusal. `EBUSY`: somebody else's AF_XDP socket has the queue.
    pub fn open(interface: &str, ifindex: u32, queue: u32) -> Result<Self, KernelError> {
        let mut port = AfXdp::bind_soon(interface, ifindex, queue, Shared::for_sending)?;
        let free = port.shared.chunks_for_sending();
        Ok(Self { port, free })
    }

    /// Has a frame written where the kernel will take it from; `write` says how long it is. `false`
    /// when there is no room: [`Sender::flush`] makes some.
    pub fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let Some(chunk) = self.free.pop() else { return false };
        let length = write(self.port.shared.bytes(&chunk)).min(CHUNK);
        match self.port.shared.send(chunk, 0, length as u32) {
            Ok(()) => true,
            Err(chunk) => {
                self.free.push(chunk);
                false
            }
        }
    }

    /// Has the kernel send what was put, some at a time.
    ///
    /// # Errors
    /// The interface is down or gone.
    pub fn flush(&mut self) -> Result<(), Errno> {
        self.port.shared.publish();
        for _ in 0..KICKS {
            // The kernel sends nothing that it has no room to say so of.
            let free = &mut self.free;
            self.port.shared.completed(|chunk| free.push(chunk));
            if !self.port.shared.wants_kick() {
                break;
            }
            match send(self.port.socket.as_fd(), &[], SendFlags::DONTWAIT) {
                Ok(_) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Frames that were put and that the kernel has not taken.
    #[must_use]
    pub fn unsent(&self) -> u32 {
        self.port.shared.unsent()
    }

    /// Descriptors that the kernel found wrong, and sent nothing for (`tx_invalid_descs`).
    #[must_use]
    pub fn invalid(&self) -> u64 {
        sockopt::xdp_statistics(&self.port.socket).map_or(0, |s| s.tx_invalid_descs)
    }
}
