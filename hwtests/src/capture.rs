//! What an interface really carried: raw frames out, raw frames in.
//!
//! A capture sits where AF_PACKET sits: after native and generic XDP, before TC. What XDP drops it
//! does not see; what XDP rewrites it sees rewritten. To see what left an interface, capture at the
//! other end of the wire.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::frame::dissect;
use crate::lab::{LabError, Port};
use crate::sys::{self, Packet};
use crate::wait;

/// `ETH_P_ALL` of `linux/if_ether.h`.
const ALL: u16 = 3;
/// `PACKET_OUTGOING` of `linux/if_packet.h`.
const OUTGOING: u8 = 4;
const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// For whom the stack thinks a frame is (`PACKET_*` of `linux/if_packet.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// This host.
    Host,
    /// Everybody.
    Broadcast,
    /// A group.
    Multicast,
    /// Somebody else.
    Other,
    /// Sent by this host.
    Outgoing,
}

/// One frame as the stack has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The frame, with its VLAN tag back in place where the kernel keeps it beside the data.
    pub bytes: Vec<u8>,
    /// For whom (`skb->pkt_type`).
    pub destination: Destination,
    /// `skb->protocol`, in host byte order.
    pub protocol: u16,
    /// The tag (protocol, control information) the kernel keeps beside the data, if any.
    pub offloaded_vlan: Option<(u16, u16)>,
    /// The transport checksum is not finished (`CHECKSUM_PARTIAL`).
    pub checksum_partial: bool,
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{:?} {:#06x}]", dissect(&self.bytes), self.destination, self.protocol)
    }
}

impl From<Packet> for Captured {
    fn from(packet: Packet) -> Self {
        let aux = packet.aux;
        let offloaded_vlan = (aux.status & TP_STATUS_VLAN_VALID != 0).then(|| {
            let named = aux.status & TP_STATUS_VLAN_TPID_VALID != 0;
            (if named { aux.vlan_tpid } else { 0x8100 }, aux.vlan_tci)
        });
        let mut bytes = packet.bytes;
        if let Some((tpid, tci)) = offloaded_vlan
            && bytes.len() >= 12
        {
            let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
            bytes.splice(12..12, tag);
        }
        Self {
            bytes,
            destination: match packet.kind {
                0 => Destination::Host,
                1 => Destination::Broadcast,
                2 => Destination::Multicast,
                OUTGOING => Destination::Outgoing,
                _ => Destination::Other,
            },
            protocol: packet.protocol,
            offloaded_vlan,
            checksum_partial: aux.status & TP_STATUS_CSUMNOTREADY != 0,
        }
    }
}

/// A running capture. Frames wait in it from the moment it is opened.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
    name: String,
    outgoing: bool,
}

/// Bytes that frames may take before they are read, for some thousand in a row: the system's own limit
/// is that of some fifty.
const ROOM: usize = 16 << 20;

impl Capture {
    /// Captures what `port` receives.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open(port: &Port) -> Result<Self, LabError> {
        Self::of_protocol(port, ALL)
    }

    /// Captures what reaches the handlers of one protocol (`skb->protocol`: an ethertype, 1 or 4 for
    /// frames with a length): later than [`Capture::open`], after TC, and without the VLAN tags
    /// that the stack takes off on the way.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn of_protocol(port: &Port, protocol: u16) -> Result<Self, LabError> {
        let socket = port.namespace.run(|| {
            let socket = sys::packet_socket(port.ifindex, protocol)?;
            sys::set_packet_option(socket.as_fd(), libc::PACKET_AUXDATA, 1)?;
            set_socket_recv_buffer_size_force(&socket, ROOM)?;
            Ok(socket)
        });
        let socket = socket.map_err(|e: io::Error| LabError::io("capture", &port.name, &e))?;
        Ok(Self { socket, name: port.name.clone(), outgoing: false })
    }

    /// Captures what `port` sends too.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn both_ways(port: &Port) -> Result<Self, LabError> {
        Ok(Self { outgoing: true, ..Self::open(port)? })
    }

    /// The next frame; `None` when none comes within `limit`.
    ///
    /// # Errors
    /// The interface went down or away.
    pub fn next(&self, limit: Duration) -> Result<Option<Captured>, LabError> {
        let failed = |e: io::Error| LabError::io("capture", &self.name, &e);
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if !wait::readable(self.socket.as_fd(), left).map_err(failed)? {
                return Ok(None);
            }
            match sys::receive_packet(self.socket.as_fd()) {
                Ok(packet) if packet.kind == OUTGOING && !self.outgoing => {}
                Ok(packet) => return Ok(Some(packet.into())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// Waits until `count` frames are there or [`wait::PATIENCE`] is over.
    ///
    /// # Errors
    /// The interface went down or away.
    pub fn wait_for(&self, count: usize) -> Result<Vec<Captured>, LabError> {
        let end = Instant::now() + wait::PATIENCE;
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.next(end.saturating_duration_since(Instant::now()))? {
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        Ok(frames)
    }

    /// The frames that are there now.
    ///
    /// # Errors
    /// The interface went down or away.
    pub fn rest(&self) -> Result<Vec<Captured>, LabError> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next(Duration::ZERO)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Waits for `count` frames and then for [`wait::SILENCE`], so that "exactly `count`" can be
    /// asserted of what it returns.
    ///
    /// # Errors
    /// The interface went down or away.
    pub fn take(&self, count: usize) -> Result<Vec<Captured>, LabError> {
        let mut frames = self.wait_for(count)?;
        std::thread::sleep(wait::SILENCE);
        frames.extend(self.rest()?);
        Ok(frames)
    }
}

/// Sends raw frames out of one interface, below everything but the queueing discipline.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    name: String,
}

impl Sender {
    /// Opens a sender on `port`.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open(port: &Port) -> Result<Self, LabError> {
        let socket = port.namespace.run(|| sys::packet_socket(port.ifindex, 0));
        let socket = socket.map_err(|e| LabError::io("open a sender on", &port.name, &e))?;
        Ok(Self { socket, name: port.name.clone() })
    }

    /// The same, past the queueing discipline too (`PACKET_QDISC_BYPASS`).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn bypassing_qdisc(port: &Port) -> Result<Self, LabError> {
        let sender = Self::open(port)?;
        sys::set_packet_option(sender.socket.as_fd(), libc::PACKET_QDISC_BYPASS, 1)
            .map_err(|e| LabError::io("open a sender on", &port.name, &e))?;
        Ok(sender)
    }

    /// The same, for frames behind a `struct virtio_net_hdr` that leaves checksum or segmentation to
    /// the device (`PACKET_VNET_HDR`).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn offloading(port: &Port) -> Result<Self, LabError> {
        const PACKET_VNET_HDR: i32 = 15;
        let sender = Self::open(port)?;
        sys::set_packet_option(sender.socket.as_fd(), PACKET_VNET_HDR, 1)
            .map_err(|e| LabError::io("open a sender on", &port.name, &e))?;
        Ok(sender)
    }

    /// Sends one frame, from the destination address on, without FCS. Waits while the other end has
    /// no room, so that what was sent was also received.
    ///
    /// # Errors
    /// The interface is down, stays full, or the frame is shorter than a header or longer than the
    /// MTU allows.
    pub fn send(&self, frame: &[u8]) -> Result<(), LabError> {
        let end = Instant::now() + wait::PATIENCE;
        loop {
            match rustix::net::send(&self.socket, frame, rustix::net::SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR | Errno::AGAIN | Errno::NOBUFS) if Instant::now() < end => {
                    std::thread::yield_now();
                }
                Err(e) => return Err(LabError::io("send on", &self.name, &e.into())),
            }
        }
    }

    /// Sends one frame `count` times.
    ///
    /// # Errors
    /// See [`Sender::send`].
    pub fn send_many(&self, frame: &[u8], count: usize) -> Result<(), LabError> {
        (0..count).try_for_each(|_| self.send(frame))
    }
}
