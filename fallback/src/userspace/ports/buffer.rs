//! Buffers for frames that are copied in: from files, lists and character devices.

use crate::userspace::vm::Frame;

/// Page in which native XDP gives a driver's frame its place.
const PAGE: usize = 4096;
/// What the kernel keeps of that page behind the frame: `struct skb_shared_info`, rounded up as
/// `SKB_DATA_ALIGN` does.
const SHARED_INFO: usize = 320;
/// Longest frame that fits into the page with its headroom: what a driver takes without fragments, and
/// what `bpf_prog_test_run_xdp` keeps linear.
pub const PAGE_FRAME: usize = PAGE - Frame::HEADROOM as usize - SHARED_INFO;
/// Longest frame that any port takes: IP's longest packet with its Ethernet header and two tags, as
/// generic XDP may see it.
pub const LONGEST: usize = 65_535 + 14 + 8;

/// Room for one frame of any length.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
}

impl Buffer {
    /// Room for frames of up to [`LONGEST`] bytes.
    pub(crate) fn new() -> Self {
        let whole = Frame::HEADROOM as usize + LONGEST + SHARED_INFO;
        Self { bytes: vec![0; whole.next_multiple_of(PAGE)].into_boxed_slice() }
    }

    /// The frame in its buffer, with the headroom that native XDP gives it, zeroed so that no run
    /// depends on the run before. One that does not fit into a page lies in as many as it needs, as in
    /// generic XDP. `None`: it is longer than [`LONGEST`].
    pub(crate) fn load(&mut self, frame: &[u8]) -> Option<Frame<'_>> {
        self.fill(frame.len(), |space| space.copy_from_slice(frame))
    }

    /// Like [`Buffer::load`], for a frame that is put together in place.
    pub(super) fn fill(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Option<Frame<'_>> {
        let start = Frame::HEADROOM as usize;
        if length > LONGEST {
            return None;
        }
        let hard_end = (start + length + SHARED_INFO).next_multiple_of(PAGE) - SHARED_INFO;
        let buffer = self.bytes.get_mut(..hard_end)?;
        let (headroom, rest) = buffer.split_at_mut(start);
        headroom.fill(0);
        write(rest.get_mut(..length)?);
        Some(Frame::new(buffer, u32::try_from(length).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lie_as_native_xdp_has_them() {
        let mut buffer = Buffer::new();
        for (length, hard_end) in [
            (0, 3776),
            (60, 3776),
            (PAGE_FRAME, 3776),
            (PAGE_FRAME + 1, 2 * PAGE - SHARED_INFO),
            (LONGEST, 17 * PAGE - SHARED_INFO),
        ] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let frame = buffer.load(&bytes).unwrap();
            assert_eq!((frame.buffer.len(), frame.meta, frame.data), (hard_end, 256, 256));
            assert_eq!(frame.bytes(), bytes);
        }
        assert!(buffer.load(&vec![0; LONGEST + 1]).is_none());
    }

    #[test]
    fn nothing_of_the_frame_before_is_left_in_front() {
        let mut buffer = Buffer::new();
        buffer.load(&[1; 60]).unwrap().buffer.fill(0xee);
        assert!(buffer.load(&[2; 60]).unwrap().buffer[..256].iter().all(|byte| *byte == 0));
    }
}
