//! Everything that is made equal before it is compared, and everything that is not compared: all of
//! it stands here.
//!
//! Real traffic:
//!
//! 1. *VLAN tags beside the data.* The kernel may keep a frame's outer tag in the socket buffer
//!    instead of the data. [`crate::capture::Capture`] puts it back where the wire has it.
//! 2. *Unfinished checksums.* A frame that the kernel itself marks as having an unfinished transport
//!    checksum (`TP_STATUS_CSUMNOTREADY`) is compared with its checksum finished. A wrong checksum
//!    without the mark stays wrong.
//! 3. *Padding.* On interfaces that are not the laboratory's own, frames arrive with at least 60 bytes;
//!    zeros up to there are ignored.
//! 4. *Other traffic.* On such interfaces the stack answers and others speak: frames that are neither as
//!    sent nor as expected are ignored, and a verdict may be counted more often than frames were sent.
//! 5. *Merged frames and real sockets.* Where the sender leaves cutting to the device, or TCP decides,
//!    the number of frames is not the program's doing: then payload at the socket, verdicts and maps
//!    are compared, not frames.
//!
//! Test runs (`BPF_PROG_TEST_RUN`, and of the userspace engine its machine alone), where nothing is
//! transmitted:
//!
//! 6. Verdict, frame, variables and maps are compared, not where a frame arrives, nor for whom; the
//!    frame only where the verdict lets it live.
//! 7. *The outer tag.* A program of the TC engine may leave the outer VLAN tag in the socket buffer,
//!    which a test run does not give back: a frame that lacks exactly its outer tag is equal.
//! 8. *What a test run does not take.* An XDP test run cuts what exceeds 3520 bytes into several
//!    buffers even for a program that is not made for them; a SCHED_CLS test run refuses IPv4 with less than 20 and IPv6 with less
//!    than 40 bytes behind the Ethernet header, and frames above about 3.7 KB
//!    (net/bpf/test_run.c, `bpf_prog_test_run_xdp`, `bpf_prog_test_run_skb`). Such cases are not run.
//! 9. *Metadata.* An XDP test run gives back the metadata in front of the frame; of a program that
//!    moves `data_meta`, up to 252 bytes in front of the expected frame are ignored.
//! 10. A test run has no senders: cases with unfinished checksums, merged frames or sockets are not run.

use hoist_offload::EngineKind;

use super::case::How;
use super::report::Evidence;
use super::send::Transport;
use super::shot::Shot;
use crate::capture::Captured;

/// Smallest frame on hardware, without FCS.
const SMALLEST: usize = 60;
/// Bytes of the linear part of an XDP test run's frame, and what a SCHED_CLS test run takes.
const TEST_RUN_BYTES: usize = 3520;

/// Rules 1 and 2.
pub(super) fn arrived(frame: &Captured) -> Vec<u8> {
    if frame.checksum_partial
        && let Some(transport) = Transport::find(&frame.bytes)
    {
        return transport.finished(&frame.bytes);
    }
    frame.bytes.clone()
}

/// Rule 3.
pub(super) fn equal(expected: &[u8], got: &[u8]) -> bool {
    let zeros = |bytes: &[u8]| bytes.iter().all(|b| *b == 0);
    expected == got
        || (got.len() == SMALLEST && got.starts_with(expected) && zeros(&got[expected.len()..]))
}

/// Rule 5.
pub(super) const fn counts_frames(how: How) -> bool {
    !matches!(how, How::Merged | How::Socket)
}

/// Rules 7 and 9; `metadata` says whether the program moves `data_meta`.
pub(super) fn equal_in_test_run(
    engine: EngineKind,
    metadata: bool,
    expected: &[u8],
    got: &[u8],
) -> bool {
    let front = got.len().wrapping_sub(expected.len());
    if metadata && engine != EngineKind::Tc && front.is_multiple_of(4) && front <= 252 {
        return got.ends_with(expected);
    }
    let tagged = matches!(expected.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
    let untagged = || [&expected[..12], &expected[16..]].concat();
    expected == got
        || (engine == EngineKind::Tc && tagged && expected.len() >= 18 && untagged() == got)
}

/// Rules 8 and 10: why a shot cannot be fired as a test run.
pub(super) fn no_test_run(engine: EngineKind, shot: &Shot, frame: &[u8]) -> Option<String> {
    if shot.expect.onlookers.is_some() {
        return Some("nobody looks on at a test run".to_owned());
    }
    if shot.by == Some(Evidence::RealTraffic) || shot.expect.unseen {
        return Some("only real traffic shows it".to_owned());
    }
    if shot.how != How::Raw {
        return Some("a test run has no sender".to_owned());
    }
    if shot.times > 1 {
        return Some("a test run is one frame".to_owned());
    }
    if frame.len() > TEST_RUN_BYTES {
        return Some(format!("a test run takes up to {TEST_RUN_BYTES} bytes in one buffer"));
    }
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14,
    };
    (engine == EngineKind::Tc && frame.len() < least)
        .then(|| format!("a SCHED_CLS test run takes at least {least} bytes of this protocol"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::frame::notation::Names;

    fn bytes(line: &str) -> Vec<u8> {
        Frame::parse(line, &Names::lab()).unwrap().bytes()
    }

    #[test]
    fn only_the_outer_tag_may_be_missing_and_only_on_tc() {
        let tagged = bytes("eth far > near / vlan 7 / vlan 8 / 'x'");
        let (outer, inner) =
            (bytes("eth far > near / vlan 8 / 'x'"), bytes("eth far > near / vlan 7 / 'x'"));
        assert!(equal_in_test_run(EngineKind::Tc, false, &tagged, &outer));
        assert!(!equal_in_test_run(EngineKind::Tc, false, &tagged, &inner));
        assert!(!equal_in_test_run(EngineKind::Native, false, &tagged, &outer));
        assert!(!equal_in_test_run(EngineKind::Tc, false, &outer, &tagged));
    }

    #[test]
    fn metadata_may_stand_in_front_where_a_program_makes_some() {
        let frame = bytes("eth far > near / 'x'");
        let with = [&[1, 2, 3, 4][..], &frame].concat();
        assert!(equal_in_test_run(EngineKind::Native, true, &frame, &with));
        assert!(!equal_in_test_run(EngineKind::Native, false, &frame, &with));
        assert!(!equal_in_test_run(EngineKind::Tc, true, &frame, &with));
        assert!(!equal_in_test_run(EngineKind::Native, true, &frame, &with[1..]));
    }

    #[test]
    fn padding_is_zeros_to_sixty_bytes() {
        let short = bytes("eth far > near / 'x'");
        let padded = bytes("eth far > near / 'x' / pad 60");
        assert!(equal(&short, &padded) && equal(&short, &short));
        let mut dirty = padded;
        dirty[59] = 1;
        assert!(!equal(&short, &dirty));
        assert!(!equal(&short, &bytes("eth far > near / 'x' / pad 61")));
    }

    #[test]
    fn a_checksum_is_finished_only_where_the_kernel_says_it_is_not() {
        for line in [
            "eth far > near / ipv4 far > near / udp 1 > 2 / 'hello'",
            "eth far > near / vlan 3 / ipv6 far > near / tcp 1 > 2 ack / 'hello'",
        ] {
            let whole = bytes(line);
            let unfinished = Transport::find(&whole).unwrap().unfinished(&whole);
            assert_ne!(whole, unfinished, "{line}");
            let mut captured = Captured {
                bytes: unfinished.clone(),
                destination: crate::capture::Destination::Host,
                protocol: 0x0800,
                offloaded_vlan: None,
                checksum_partial: true,
            };
            assert_eq!(arrived(&captured), whole, "{line}");
            captured.checksum_partial = false;
            assert_eq!(arrived(&captured), unfinished, "{line}");
        }
    }
}
