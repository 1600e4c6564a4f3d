//! What the frames are.

use std::sync::atomic::AtomicBool;

use hoist_benches::generator::live::Options;
use hoist_benches::profile::Profile;
use hoist_benches::stamp::Stamp;
use hoist_bpf::Insn;
use hoist_hwtests::capture::Capture;
use hoist_hwtests::frame::diff;
use hoist_hwtests::require;

use crate::lab::Range;

static NEVER: AtomicBool = AtomicBool::new(false);
const DROP: i32 = 1;
const PASS: i32 = 2;
/// Where in a frame the time to live is.
const TTL: usize = 22;
/// A program that takes one off it and drops the frame, unless one was taken off before.
const TTL_LESS_ONE: [Insn; 12] = [
    Insn::new(0x61, 2, 1, 0, 0),
    Insn::new(0x61, 3, 1, 4, 0),
    Insn::new(0xbf, 4, 2, 0, 0),
    Insn::new(0x07, 4, 0, 0, TTL as i32 + 1),
    Insn::new(0xb7, 0, 0, 0, DROP),
    Insn::new(0x2d, 4, 3, 5, 0),
    Insn::new(0x71, 5, 2, TTL as i16, 0),
    Insn::new(0x07, 5, 0, 0, -1),
    Insn::new(0x73, 2, 5, TTL as i16, 0),
    Insn::new(0x35, 5, 0, 1, 63),
    Insn::new(0xb7, 0, 0, 0, PASS),
    Insn::new(0x95, 0, 0, 0, 0),
];

/// Every profile, what it varies and how it is stamped: the frames on the wire are those that the
/// profile describes, in order, and none is missing.
#[test]
fn frames_are_those_of_the_profile_in_their_order() {
    if !require::veth("frames_are_those_of_the_profile_in_their_order") {
        return;
    }
    let much = "name = 'much'\nip = 'ipv6'\nvxlan = 7\nsizes = [{ bytes = 200 }, { bytes = 203 }]\n\
                spread = [{ field = 'source-address', values = 3 }, { field = 'source-port', values = 5 }]";
    let mut profiles: Vec<Profile> =
        ["64", "1518", "imix", "flows-300", "vlan", "vxlan", "ipv6", "burst"]
            .iter()
            .map(|name| Profile::named(name).unwrap())
            .collect();
    profiles.push(Profile::parse(much).unwrap());
    let range = Range::new(PASS);
    for profile in &profiles {
        for (stamped, load) in [(false, None), (true, None), (true, Some(1e5))] {
            let options =
                Options { token: 0xfeed, stream: 9, limit: Some(700), ..Options::on(&[1]) };
            let mut live = range.live(profile, stamped, options);
            let capture = Capture::open(range.lab.near()).unwrap();
            let run = range.lab.far().namespace.run(|| live.run(load, 1.0, &NEVER)).unwrap();
            let captured = capture.take(700).unwrap();
            let frames = range.frames(profile, stamped);
            let what = format!("{} {stamped} {load:?}", profile.name);
            assert_eq!((captured.len(), run.generated()), (700, 700), "{what}");
            let mut bytes = 0;
            for (number, got) in (0_u64..).zip(&captured) {
                let stamp = Stamp::of(&got.bytes).unwrap_or_default();
                let mut expected = vec![0; 1600];
                let length = frames.write(number, &stamp, &mut expected);
                expected.truncate(length);
                assert_eq!(got.bytes, expected, "{what} {number}: {}", diff(&expected, &got.bytes));
                bytes += length as u64;
                if stamped {
                    let marks = (stamp.token, stamp.stream, u64::from(stamp.sequence));
                    assert_eq!(marks, (0xfeed, 9, number), "{what}");
                    let late = (stamp.sent as u32).wrapping_sub(stamp.intended as u32);
                    assert!(load.is_some() || late == 0, "{what} {number}: {late}");
                }
            }
            assert_eq!(run.cores[0].bytes, bytes, "{what}");
        }
    }
}

/// Whoever received a page may have written into it before it is used again.
#[test]
fn headers_are_written_anew_whatever_was_made_of_them() {
    if !require::veth("headers_are_written_anew_whatever_was_made_of_them") {
        return;
    }
    let range = Range::with(&TTL_LESS_ONE);
    for (rewrite, used_again) in [(true, false), (false, true)] {
        let options = Options { rewrite, limit: Some(700), ..Options::on(&[1]) };
        let mut live = range.live(&Profile::of_size(64), false, options);
        let capture = Capture::open(range.lab.near()).unwrap();
        range.lab.far().namespace.run(|| live.run(None, 1.0, &NEVER)).unwrap();
        let seen = capture.take(0).unwrap();
        assert_eq!(!seen.is_empty(), used_again, "{rewrite}: {} frames", seen.len());
    }
}
