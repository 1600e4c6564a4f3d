//! Requests that are written ahead and carried out without touching the heap: all that a process may
//! do between fork(2) and its end when the one it came from had several threads.
#![expect(unsafe_code, reason = "the safe socket allocates for each message")]

use std::os::fd::RawFd;

use super::frame::Frames;
use super::{NLM_F_ACK, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, Refusal, attribute, encode};

/// A request as it will be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Prepared {
    /// A request that ends with an acknowledgement. `sequence` tells those of one socket apart.
    pub(crate) fn request(kind: u16, payload: &[u8], sequence: u32) -> Result<Self, Refusal> {
        Ok(Self { bytes: encode(kind, NLM_F_ACK, sequence, payload)?, sequence })
    }

    /// A request for a whole table.
    pub(crate) fn dump(kind: u16, payload: &[u8], sequence: u32) -> Result<Self, Refusal> {
        Ok(Self { bytes: encode(kind, NLM_F_DUMP, sequence, payload)?, sequence })
    }

    /// Sends it and shows every message of the answer (type and payload) to `seen`; whether the
    /// kernel granted it. `buffer` takes a datagram and should have 32 KiB.
    pub(crate) fn exchange(
        &self,
        socket: RawFd,
        buffer: &mut [u8],
        mut seen: impl FnMut(u16, &[u8]),
    ) -> bool {
        // SAFETY: the bytes are alive and as many as is said.
        let sent = unsafe { libc::send(socket, self.bytes.as_ptr().cast(), self.bytes.len(), 0) };
        if usize::try_from(sent) != Ok(self.bytes.len()) {
            return false;
        }
        loop {
            // SAFETY: the buffer is alive, writable and as long as is said.
            let size = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Some(datagram) = usize::try_from(size).ok().and_then(|size| buffer.get(..size))
            else {
                return false;
            };
            let mut frames = Frames::new(datagram);
            while let Some(frame) = frames.parse() {
                if frame.sequence != self.sequence {
                    continue;
                }
                if matches!(frame.kind, NLMSG_ERROR | NLMSG_DONE) {
                    return attribute::u32_at(frame.payload, 0).unwrap_or(0) == 0;
                }
                seen(frame.kind, frame.payload);
            }
        }
    }
}
