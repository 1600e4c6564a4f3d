//! Generic netlink: families are found by name and answer to numbers chosen at boot.

use super::attribute::Builder;
use super::{Attributes, Message, Refusal, Reply, Socket};

/// `GENL_ID_CTRL`: the family that knows the others.
const CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// `struct genlmsghdr`, in bytes: what precedes the attributes of every reply.
pub const HEADER: usize = 4;

/// A generic netlink family, ready to be asked.
#[derive(Debug)]
pub struct Family {
    socket: Socket,
    id: u16,
    version: u8,
}

impl Family {
    /// Finds a family, for example `netdev` or `ethtool`; `None` where this kernel has none of that
    /// name.
    ///
    /// # Errors
    /// The kernel's refusal, other than not knowing the name.
    pub fn resolve(name: &str, version: u8) -> Result<Option<Self>, Refusal> {
        let mut socket = Socket::generic()?;
        let payload = header(CTRL_CMD_GETFAMILY, 1).text(CTRL_ATTR_FAMILY_NAME, name).build();
        let reply = match socket.request(CTRL, 0, &payload) {
            Ok(reply) => reply,
            Err(refusal) if refusal.errno == libc::ENOENT => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let id = reply
            .messages
            .iter()
            .find_map(|m| Attributes::after(&m.payload, HEADER).get(CTRL_ATTR_FAMILY_ID)?.u16());
        Ok(id.map(|id| Self { socket, id, version }))
    }

    /// Sends one command with the attributes written by `attributes`, and waits for its
    /// acknowledgement.
    ///
    /// # Errors
    /// The kernel's refusal, with its sentence.
    pub fn request(
        &mut self,
        command: u8,
        attributes: impl FnOnce(Builder) -> Builder,
    ) -> Result<Reply, Refusal> {
        let payload = attributes(header(command, self.version)).build();
        self.socket.request(self.id, 0, &payload)
    }

    /// Asks for everything a command can list.
    ///
    /// # Errors
    /// The kernel's refusal, with its sentence.
    pub fn dump(
        &mut self,
        command: u8,
        attributes: impl FnOnce(Builder) -> Builder,
    ) -> Result<Vec<Message>, Refusal> {
        let payload = attributes(header(command, self.version)).build();
        self.socket.dump(self.id, &payload)
    }
}

fn header(command: u8, version: u8) -> Builder {
    Builder::new(&[command, version, 0, 0])
}
