//! Packet sockets: an interface's frames where no BPF is allowed.
//!
//! A packet socket is a tap: it gets a copy of each frame, and the host gets the frame all the same. So
//! the host's is dropped by nf_tables right behind the taps ([`Kernel::drop_ingress`]), for exactly as
//! long as the port lives. What is passed would have to be given to the host behind that, which takes
//! BPF; so programs that may pass are refused ([`pass_gap`]).
//!
//! The copy is made as native XDP would see the frame: a tag that the kernel keeps beside it is put back
//! into it, and what was merged from several frames is not handed over but counted. TC programs at
//! ingress run before the drop and see every frame.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::kernel::{Kernel, KernelError};
use hoist_offload::error::{Error, Gap};
use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use rustix::net::sockopt;

use super::buffer::PAGE_FRAME;
use super::outlets::Outlets;
use super::{Action, BATCH, Batch, Copied, Outcome, Outcomes, Port, Program, sys};
use crate::userspace::vm::{Arrival, Frame};

mod ring;
mod sender;

pub use sender::Sender;

use ring::{Header, Ring, SLOT};

/// `ETH_P_ALL`.
const EVERYTHING: u16 = 3;
/// Not in libc: `linux/if_packet.h`, Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// Where a tag is put: behind both addresses.
const ADDRESSES: usize = 12;
const TAG: u32 = 4;

/// Why a program that may pass frames cannot run on a packet socket.
#[must_use]
pub fn pass_gap() -> Gap {
    let message = "the program may pass frames, and without BPF nothing can give the host a frame \
                   behind the rule that drops the host's own copies";
    let remedy = "allow BPF (CAP_BPF and CAP_NET_ADMIN), so that the engine can use AF_XDP";
    Gap::new("no-reinjection", message).remedy(remedy)
}

/// An interface behind a packet socket.
#[derive(Debug)]
pub struct AfPacket {
    name: String,
    ifindex: u32,
    ring: Ring,
    socket: OwnedFd,
    outlets: Outlets,
    outcomes: Outcomes,
    /// Last, so that the host is itself again only when nothing is received any more.
    _host_copies: OwnedFd,
}

impl AfPacket {
    /// Has the host's copies dropped and only then receives: no frame reaches both the program and the
    /// host. The interface is one of the thread's network namespace.
    ///
    /// # Errors
    /// The kernel's refusal; nothing stays then. `EPERM` also where somebody else's port has the interface.
    pub fn open(
        kernel: &Arc<dyn Kernel>,
        interface: &str,
        ifindex: u32,
    ) -> Result<Self, KernelError> {
        let host_copies = kernel.drop_ingress(ifindex)?;
        let refused = |operation: &'static str| {
            move |error: std::io::Error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                KernelError::new(operation, format!("packet socket of {interface}"), errno)
            }
        };
        let socket = sys::unbound_packet_socket().map_err(refused("socket"))?;
        let on: libc::c_int = 1;
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &on)
            .map_err(refused("PACKET_IGNORE_OUTGOING"))?;
        let ring = Ring::new(socket.as_fd()).map_err(refused("PACKET_RX_RING"))?;
        sys::bind_packet_socket(&socket, ifindex, EVERYTHING).map_err(refused("bind"))?;
        Ok(Self {
            name: interface.to_owned(),
            ifindex,
            ring,
            socket,
            outlets: Outlets::default(),
            outcomes: Outcomes::default(),
            _host_copies: host_copies,
        })
    }

    /// Counts what was lost, and tells the error that the socket has to tell.
    fn pending(&mut self) -> Result<(), Error> {
        let lost = sys::packet_losses(self.socket.as_fd()).unwrap_or(0);
        self.outcomes.add(Outcome::Overrun, u64::from(lost));
        let errno = match sockopt::socket_error(&self.socket) {
            Ok(Ok(())) => return Ok(()),
            // The kernel's `packet_notifier` says the same of an interface that is set down, and binds
            // the socket again when it is up, as of one that is gone.
            Ok(Err(Errno::NETDOWN)) if index_to_name(&self.socket, self.ifindex).is_ok() => {
                return Ok(());
            }
            Ok(Err(errno)) | Err(errno) => errno,
        };
        Err(sys::not_received(&self.name, errno))
    }
}

/// The frame in its slot as native XDP has it; `None` where it cannot be shown so.
fn show<'a>(header: &Header, slot: &'a mut [u8]) -> Option<Frame<'a>> {
    if header.merged || header.held_bytes < header.wire_bytes {
        return None;
    }
    let mut start = header.start;
    if let Some((protocol, control)) = header.tag {
        let at = start as usize;
        start -= TAG;
        slot.copy_within(at..at + ADDRESSES, start as usize);
        let tag = slot.get_mut(at + ADDRESSES - TAG as usize..at + ADDRESSES)?;
        tag[..2].copy_from_slice(&protocol.to_be_bytes());
        tag[2..].copy_from_slice(&control.to_be_bytes());
    }
    let end = header.start + header.held_bytes;
    let hard_start = start.checked_sub(Frame::HEADROOM)?;
    let hard_end = (start as usize + PAGE_FRAME).max(end as usize).min(SLOT);
    let buffer = slot.get_mut(hard_start as usize..hard_end)?;
    Some(Frame::new(buffer, end - start))
}

fn carry_out(
    outlets: &mut Outlets,
    outcomes: &mut Outcomes,
    frame: &Frame<'_>,
    action: &Action,
    ifindex: u32,
) {
    match action {
        Action::Drop => outcomes.count(Outcome::Dropped),
        Action::Pass => outcomes.count(Outcome::PassFailed),
        Action::Transmit => outlets.send(ifindex, frame.bytes(), Outcome::Transmitted, outcomes),
        Action::Redirect(target) => {
            outlets.send(*target, frame.bytes(), Outcome::Redirected, outcomes);
        }
        Action::Broadcast(targets) => {
            for target in targets {
                outlets.send(*target, frame.bytes(), Outcome::Redirected, outcomes);
            }
        }
        Action::Copies(copies) => {
            for Copied { ifindex, frame } in copies {
                outlets.send(*ifindex, frame, Outcome::Redirected, outcomes);
            }
        }
    }
}

impl Port for AfPacket {
    fn name(&self) -> &str {
        &self.name
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        let Self { ring, outlets, outcomes, ifindex, .. } = self;
        let arrival = Arrival { ingress_ifindex: *ifindex, ..Arrival::default() };
        let mut frames = 0;
        while frames < BATCH {
            let taken = ring.take(|header, slot| {
                let Some(mut frame) = show(&header, slot) else {
                    return outcomes.count(Outcome::Unfit);
                };
                outcomes.count(Outcome::Received);
                let action = program(&mut frame, &arrival);
                carry_out(outlets, outcomes, &frame, &action, *ifindex);
            });
            if taken.is_none() {
                break;
            }
            frames += 1;
        }
        if frames > 0 {
            return Ok(Batch::Frames(frames));
        }
        self.pending()?;
        Ok(Batch::Idle)
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        _arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        carry_out(&mut self.outlets, &mut self.outcomes, frame, action, self.ifindex);
        Ok(())
    }

    fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.pending()
    }
}
