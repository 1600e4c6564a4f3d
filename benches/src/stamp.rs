//! What a generator writes at the end of each frame, and a receiver reads there: at the end, so that
//! neither needs to know what headers stand before it, and a program may add or take away some.
//!
//! Sixteen bytes, which a 64-byte frame of UDP over IPv4 has room for, in two little-endian words:
//!
//! | bits | of the first word | bits | of the second |
//! |---|---|---|---|
//! | 0..16 | token of the trial | 0..32 | intended time, low bits |
//! | 16..24 | stream | 32..64 | time of sending, low bits |
//! | 24..32 | intended time, bits 32 to 39 | | |
//! | 32..64 | sequence number | | |
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`). Of the intended one 40 bits are
//! kept, so that a generator may be 18 minutes late; of the time of sending 32, which is 4.2 seconds
//! on the way. A frame may carry the token alone, the rest being whatever its template says.
//!
//! `benches/programs/stamp.h` says the same in C.

/// A stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Tells the frames of a trial from all others.
    pub token: u16,
    /// Which generator sent it.
    pub stream: u8,
    /// Counts the frames of a stream, from 0.
    pub sequence: u32,
    /// When it should have been sent, in nanoseconds; 40 bits of it.
    pub intended: u64,
    /// When it was sent, in nanoseconds; 32 bits of it.
    pub sent: u64,
}

impl Stamp {
    /// Length in bytes.
    pub const BYTES: usize = 16;

    /// The bytes at the end of the frame.
    #[must_use]
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let who = u64::from(self.token)
            | u64::from(self.stream) << 16
            | (self.intended >> 32 & 0xff) << 24
            | u64::from(self.sequence) << 32;
        let when = (self.intended & 0xffff_ffff) | (self.sent & 0xffff_ffff) << 32;
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&who.to_le_bytes());
        bytes[8..].copy_from_slice(&when.to_le_bytes());
        bytes
    }

    /// The stamp at the end of a frame; `None` when the frame is shorter than a stamp.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let bytes = frame.last_chunk::<{ Self::BYTES }>()?;
        let (who, when) = bytes.split_first_chunk::<8>()?;
        let (who, when) = (u64::from_le_bytes(*who), u64::from_le_bytes(*when.first_chunk::<8>()?));
        Some(Self {
            token: who as u16,
            stream: (who >> 16) as u8,
            sequence: (who >> 32) as u32,
            intended: (who >> 24 & 0xff) << 32 | (when & 0xffff_ffff),
            sent: when >> 32,
        })
    }

    /// Writes it over the end of a frame. One that is too short stays as it is.
    pub fn put(&self, frame: &mut [u8]) {
        if let Some(end) = frame.last_chunk_mut::<{ Self::BYTES }>() {
            *end = self.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_as_far_as_there_is_room() {
        let stamp = Stamp {
            token: 0xfeed,
            stream: 200,
            sequence: 0x8000_0001,
            intended: 0xab_1234_5678,
            sent: 0x9abc_def0,
        };
        let mut frame = [0xff_u8; 60];
        stamp.put(&mut frame);
        assert_eq!(Stamp::of(&frame), Some(stamp));
        assert_eq!(frame[..44], [0xff; 44]);
        let late =
            Stamp { intended: stamp.intended + (7 << 40), sent: stamp.sent + (1 << 32), ..stamp };
        assert_eq!(late.bytes(), stamp.bytes());
        assert_eq!(Stamp::of(&[0; 15]), None);
    }
}
