//! A packet socket that sends and never receives: for generators.

use std::os::fd::{AsFd as _, OwnedFd};

use hoist_bpf::kernel::KernelError;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::ring::transmit::{Put, TransmitRing};
use crate::userspace::ports::sys;

/// How often the kernel is told again of frames to send that it could not take at once.
const KICKS: usize = 64;

/// An interface, to send by. The queueing discipline is bypassed.
#[derive(Debug)]
pub struct Sender {
    ring: TransmitRing,
    socket: OwnedFd,
    wrong: u64,
}

impl Sender {
    /// Longest frame in bytes.
    pub const LONGEST: usize = TransmitRing::LONGEST;

    /// Opens a socket with a transmit ring on an interface of the thread's network namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open(interface: &str, ifindex: u32) -> Result<Self, KernelError> {
        let refused = |operation: &'static str| {
            move |error: std::io::Error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                KernelError::new(operation, format!("packet socket of {interface}"), errno)
            }
        };
        let socket = sys::unbound_packet_socket().map_err(refused("socket"))?;
        let on: libc::c_int = 1;
        let bypass = libc::PACKET_QDISC_BYPASS;
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, bypass, &on)
            .map_err(refused("PACKET_QDISC_BYPASS"))?;
        let ring = TransmitRing::new(socket.as_fd()).map_err(refused("PACKET_TX_RING"))?;
        sys::bind_packet_socket(&socket, ifindex, 0).map_err(refused("bind"))?;
        Ok(Self { ring, socket, wrong: 0 })
    }

    /// Has a frame written where the kernel will take it from; `write` says how long it is. `false`
    /// when there is no room: [`Sender::flush`] makes some.
    pub fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let put = self.ring.put(write);
        self.wrong += u64::from(put == Put::AfterWrong);
        put != Put::Full
    }

    /// Has the kernel send what was put.
    ///
    /// # Errors
    /// The interface is down or gone, or takes no frame so long.
    pub fn flush(&mut self) -> Result<(), Errno> {
        for _ in 0..KICKS {
            if !self.ring.pending() {
                break;
            }
            match send(self.socket.as_fd(), &[], SendFlags::DONTWAIT) {
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Frames that were put and that the kernel has not sent.
    #[must_use]
    pub fn unsent(&self) -> u32 {
        self.ring.unsent()
    }

    /// Frames that the kernel did not understand, and did not send.
    #[must_use]
    pub const fn invalid(&self) -> u64 {
        self.wrong
    }
}
