//! Ways out of other interfaces: where redirected frames go.
//!
//! A packet socket that bypasses the queueing discipline (`PACKET_QDISC_BYPASS`) hands a frame to the
//! driver as XDP's redirect does: no TC egress, no tap sees it. One is opened for each target when the
//! first frame goes there.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::{Outcome, Outcomes, sys};

/// How often a full transmit queue is tried again: a driver empties it meanwhile.
const ATTEMPTS: usize = 64;

/// Sockets by interface; `None` where none could be had.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    sockets: BTreeMap<u32, Option<OwnedFd>>,
}

impl Outlets {
    /// Sends a frame out of an interface of the thread's network namespace, and counts what became of
    /// it under `sent` or what went wrong.
    pub(super) fn send(
        &mut self,
        ifindex: u32,
        frame: &[u8],
        sent: Outcome,
        outcomes: &mut Outcomes,
    ) {
        let socket = self.sockets.entry(ifindex).or_insert_with(|| open(ifindex));
        let Some(socket) = socket else {
            outcomes.count(Outcome::NoSuchTarget);
            return;
        };
        for _ in 0..ATTEMPTS {
            match send(socket.as_fd(), frame, SendFlags::DONTWAIT) {
                Ok(_) => return outcomes.count(sent),
                // ENOBUFS is how a packet socket says that the driver's queue is full.
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => std::thread::yield_now(),
                Err(Errno::NODEV | Errno::NXIO) => {
                    self.sockets.remove(&ifindex);
                    return outcomes.count(Outcome::NoSuchTarget);
                }
                Err(_) => break,
            }
        }
        outcomes.count(Outcome::SendFailed);
    }
}

fn open(ifindex: u32) -> Option<OwnedFd> {
    let socket = sys::packet_socket(ifindex, 0).ok()?;
    let on: libc::c_int = 1;
    let bypass = libc::PACKET_QDISC_BYPASS;
    sys::set_option(socket.as_fd(), libc::SOL_PACKET, bypass, &on).ok()?;
    Some(socket)
}
