//! Messages within a datagram, and what the last of them says.

use super::{Attributes, HEADER, Message, Refusal, attribute};

pub(super) const NLM_F_CAPPED: u16 = 0x100;
pub(super) const NLM_F_ACK_TLVS: u16 = 0x200;
pub(super) const NLMSGERR_ATTR_MSG: u16 = 1;

/// A message that breaks its own length fields: the kernel never sends one.
pub(super) fn malformed() -> Refusal {
    Refusal { errno: libc::EBADMSG, message: Some("malformed netlink message".to_owned()) }
}

/// One message within a datagram.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    pub(super) fn to_owned(&self) -> Message {
        Message { kind: self.kind, payload: self.payload.to_vec() }
    }
}

/// The messages of one datagram, each padded to four bytes.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) const fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    /// The next message; `None` at the end or where the bytes stop making sense. Allocates nothing.
    pub(super) fn parse(&mut self) -> Option<Frame<'a>> {
        let (header, _) = self.rest.split_first_chunk::<HEADER>()?;
        let length = usize::try_from(attribute::u32_at(header, 0)?).ok()?;
        let payload = self.rest.get(HEADER..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Frame {
            kind: attribute::u16_at(header, 4)?,
            flags: attribute::u16_at(header, 6)?,
            sequence: attribute::u32_at(header, 8)?,
            payload,
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.parse();
        if frame.is_none() {
            self.rest = &[];
        }
        Some(frame.ok_or_else(malformed))
    }
}

/// Reads `struct nlmsgerr`: a refusal, or success with perhaps a warning.
pub(super) fn acknowledgement(message: &Frame<'_>) -> Result<Option<String>, Refusal> {
    let code = attribute::u32_at(message.payload, 0).ok_or_else(malformed)?.cast_signed();
    // After the error number comes the request's header, and its payload unless that was cut off.
    let mut skip = 4 + HEADER;
    if message.flags & NLM_F_CAPPED == 0 {
        let echoed = attribute::u32_at(message.payload, 4).ok_or_else(malformed)?;
        skip = 4 + usize::try_from(echoed).map_or(HEADER, |n| n.max(HEADER).next_multiple_of(4));
    }
    outcome(code, message, skip)
}

/// Reads the end of a dump: an error number, then the same attributes as an acknowledgement.
pub(super) fn finished(message: &Frame<'_>) -> Result<Option<String>, Refusal> {
    let code = attribute::u32_at(message.payload, 0).unwrap_or(0).cast_signed();
    outcome(code, message, 4)
}

fn outcome(code: i32, message: &Frame<'_>, skip: usize) -> Result<Option<String>, Refusal> {
    let sentence = if message.flags & NLM_F_ACK_TLVS == 0 {
        None
    } else {
        let attributes = Attributes::new(message.payload.get(skip..).unwrap_or_default());
        attributes.get(NLMSGERR_ATTR_MSG).and_then(|a| a.text()).map(str::to_owned)
    };
    if code == 0 {
        return Ok(sentence);
    }
    Err(Refusal { errno: code.wrapping_neg(), message: sentence })
}
