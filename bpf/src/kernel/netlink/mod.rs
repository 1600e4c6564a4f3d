//! A small synchronous netlink socket: rtnetlink(7) and generic netlink.
//!
//! What sets it apart from a plain socket is that no word of the kernel is lost: extended
//! acknowledgements (`NETLINK_EXT_ACK`) are read on failure and, as warnings, on success.
//!
//! A socket belongs to the network namespace of the thread that opened it, for good. So it is opened
//! for each question and not kept: opening costs microseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use netlink_sys::{Socket as RawSocket, SocketAddr, protocols};

use super::KernelError;

pub mod attribute;
pub mod filter;
mod frame;
pub mod generic;
pub mod netfilter;
pub(crate) mod prepared;
pub mod route;

use frame::{Frames, acknowledgement, finished};

pub use attribute::{Attribute, Attributes, Builder};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// `struct nlmsghdr`, in bytes.
const HEADER: usize = 16;
/// Room for a datagram. The kernel makes those of a dump as large as the reader's buffers were so far,
/// up to this; in smaller ones some messages (ethtool's features) find no place at all.
const RECEIVE_BYTES: usize = 32 << 10;
/// How often a dump that changed under our hands is asked for again.
const DUMP_ATTEMPTS: usize = 8;

/// The kernel's answer to a request it turned down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .message.clone().unwrap_or_else(|| super::errno_text(*.errno)))]
pub struct Refusal {
    /// Error number, positive.
    pub errno: i32,
    /// `NLMSGERR_ATTR_MSG`: the kernel's sentence, where it gave one.
    pub message: Option<String>,
}

impl Refusal {
    /// The same, with what was asked and of what.
    #[must_use]
    pub fn about(self, operation: &str, object: impl Into<String>) -> KernelError {
        KernelError {
            operation: operation.to_owned(),
            object: object.into(),
            errno: self.errno,
            message: self.message,
            log: None,
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { errno: error.raw_os_error().unwrap_or(libc::EIO), message: None }
    }
}

/// One message: its type and its payload without `struct nlmsghdr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`.
    pub kind: u16,
    /// What follows the header: family header, then attributes.
    pub payload: Vec<u8>,
}

/// Answer to a request that was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Messages before the acknowledgement.
    pub messages: Vec<Message>,
    /// What the kernel wants known although it complied.
    pub warning: Option<String>,
}

/// A netlink socket connected to the kernel.
#[derive(Debug)]
pub struct Socket {
    raw: RawSocket,
    sequence: u32,
}

impl Socket {
    /// Opens an rtnetlink socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system's refusal to make a socket.
    pub fn route() -> Result<Self, Refusal> {
        Self::open(protocols::NETLINK_ROUTE)
    }

    /// Opens a generic netlink socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system's refusal to make a socket.
    pub fn generic() -> Result<Self, Refusal> {
        Self::open(protocols::NETLINK_GENERIC)
    }

    /// Opens a netfilter socket in the calling thread's network namespace.
    pub(super) fn netfilter() -> Result<Self, Refusal> {
        Self::open(protocols::NETLINK_NETFILTER)
    }

    /// The socket as a plain descriptor, for what lives as long as it is open.
    fn into_descriptor(self) -> Result<OwnedFd, Refusal> {
        Ok(self.raw.as_fd().try_clone_to_owned()?)
    }

    /// For those who must do without the heap; see [`prepared`].
    pub(crate) fn descriptor(&self) -> RawFd {
        self.raw.as_raw_fd()
    }

    fn open(protocol: isize) -> Result<Self, Refusal> {
        let mut raw = RawSocket::new(protocol)?;
        raw.bind_auto()?;
        raw.connect(&SocketAddr::new(0, 0))?;
        raw.set_ext_ack(true)?;
        raw.set_cap_ack(true)?;
        Ok(Self { raw, sequence: 0 })
    }

    /// Sends one request and waits for its acknowledgement. `flags` are added to
    /// `NLM_F_REQUEST | NLM_F_ACK`.
    ///
    /// # Errors
    /// The kernel's refusal, with its sentence.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Reply, Refusal> {
        let sequence = self.send(kind, flags | NLM_F_ACK, payload)?;
        let mut reply = Reply::default();
        loop {
            let datagram = self.receive()?;
            for message in Frames::new(&datagram) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                if message.kind != NLMSG_ERROR {
                    reply.messages.push(message.to_owned());
                    continue;
                }
                reply.warning = acknowledgement(&message)?;
                return Ok(reply);
            }
        }
    }

    /// Asks for a whole table (`NLM_F_DUMP`), up to the message that ends it; some families leave
    /// `NLM_F_MULTI` out of the messages before. A table that changed while it was read is read again.
    ///
    /// # Errors
    /// The kernel's refusal; `EINTR` when the table never stood still.
    pub fn dump(&mut self, kind: u16, payload: &[u8]) -> Result<Vec<Message>, Refusal> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(messages) = self.dump_once(kind, payload)? {
                return Ok(messages);
            }
        }
        Err(Refusal {
            errno: libc::EINTR,
            message: Some("the table kept changing while it was read; try again".to_owned()),
        })
    }

    fn dump_once(&mut self, kind: u16, payload: &[u8]) -> Result<Option<Vec<Message>>, Refusal> {
        let sequence = self.send(kind, NLM_F_DUMP, payload)?;
        let mut messages = Vec::new();
        let mut consistent = true;
        loop {
            let datagram = self.receive()?;
            for message in Frames::new(&datagram) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_ERROR => {
                        acknowledgement(&message)?;
                        return Ok(Some(messages));
                    }
                    NLMSG_DONE => {
                        finished(&message)?;
                        return Ok(consistent.then_some(messages));
                    }
                    _ => messages.push(message.to_owned()),
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<u32, Refusal> {
        let sequence = self.next_sequence();
        self.raw.send(&encode(kind, flags, sequence, payload)?, 0)?;
        Ok(sequence)
    }

    const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// One datagram, whole: it is looked at before it is taken, so none is ever cut short.
    fn receive(&self) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::with_capacity(RECEIVE_BYTES);
        let size = retry(|| {
            bytes.clear();
            self.raw.recv(&mut bytes, libc::MSG_PEEK | libc::MSG_TRUNC)
        })?;
        let mut taken = Vec::with_capacity(if size > bytes.len() { size } else { 1 });
        retry(|| {
            taken.clear();
            self.raw.recv(&mut taken, 0)
        })?;
        Ok(if size > bytes.len() { taken } else { bytes })
    }
}

/// A request as it is sent.
fn encode(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Result<Vec<u8>, Refusal> {
    let length = HEADER + payload.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).map_err(|_| too_big())?.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

fn too_big() -> Refusal {
    Refusal { errno: libc::EMSGSIZE, message: None }
}

#[cfg(test)]
mod tests;
