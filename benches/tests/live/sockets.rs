//! Generators that are sockets.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hoist_benches::generator::live::Options;
use hoist_benches::generator::replay::{Replay, Timing};
use hoist_benches::generator::sockets::{Kind, Sockets};
use hoist_benches::meter::Traffic as _;
use hoist_benches::profile::Profile;
use hoist_benches::stamp::Stamp;
use hoist_benches::trial::Order;
use hoist_hwtests::capture::Capture;
use hoist_hwtests::{require, wait};

use crate::lab::Range;

static NEVER: AtomicBool = AtomicBool::new(false);
const DROP: i32 = 1;
const PASS: i32 = 2;

#[test]
fn sockets_send_what_they_say() {
    if !require::veth("sockets_send_what_they_say") {
        return;
    }
    let range = Range::new(DROP);
    for kind in [Kind::AfXdp, Kind::AfPacket] {
        for (name, stamped, load, cpus) in [
            ("64", false, None, &[0][..]),
            ("imix", true, None, &[0, 1]),
            ("flows-100", true, Some(2e4), &[1]),
            ("ipv6", true, Some(2e4), &[0, 1]),
        ] {
            let frames = range.frames(&Profile::named(name).unwrap(), stamped);
            let ifindex = range.lab.far().ifindex;
            let mut sockets = Sockets::new(kind, "v1", ifindex, frames, Options::on(cpus));
            let order = Order { load, seconds: 0.05 };
            let (before, overflowed) = (range.received(), range.overflowed());
            let sent = range.lab.far().namespace.run(|| sockets.send(&order, &NEVER)).unwrap();
            let refused = sent.refused.as_ref().unwrap().packets;
            let what = format!("{kind:?} {name} {load:?}: {sent:?}");
            let generated = sent.generated.packets;
            assert!(generated > 0 && refused == 0, "{what}");
            // What the ring behind the socket has no room for is not received.
            let reached = || range.received() - before + range.overflowed() - overflowed;
            let all = wait::until(Duration::from_secs(2), || reached() == generated);
            assert!(all, "{what}: {} arrived", reached());
            if load.is_some() {
                assert_eq!(sent.intended, 1000, "{what}");
                assert_eq!(sent.lateness.unwrap().frames, sent.generated.packets, "{what}");
            }
        }
    }
}

/// More than rings and memory hold, so that all of it is used again and again.
#[test]
fn sockets_keep_a_limit_to_the_frame() {
    if !require::veth("sockets_keep_a_limit_to_the_frame") {
        return;
    }
    let range = Range::new(DROP);
    for kind in [Kind::AfXdp, Kind::AfPacket] {
        let frames = range.frames(&Profile::of_size(64), false);
        let options = Options { limit: Some(20_000), ..Options::on(&[0]) };
        let mut sockets = Sockets::new(kind, "v1", range.lab.far().ifindex, frames, options);
        let order = Order { load: None, seconds: 10.0 };
        let sent = range.lab.far().namespace.run(|| sockets.send(&order, &NEVER)).unwrap();
        assert_eq!(sent.generated.packets, 20_000, "{kind:?}");
    }
}

#[test]
fn sockets_send_the_frames_of_the_profile() {
    if !require::veth("sockets_send_the_frames_of_the_profile") {
        return;
    }
    let range = Range::new(PASS);
    for kind in [Kind::AfXdp, Kind::AfPacket] {
        for name in ["64", "imix", "flows-300", "vxlan", "ipv6"] {
            let frames = range.frames(&Profile::named(name).unwrap(), true);
            let options = Options { token: 3, limit: Some(200), ..Options::on(&[0]) };
            let ifindex = range.lab.far().ifindex;
            let mut sockets = Sockets::new(kind, "v1", ifindex, frames.clone(), options);
            let capture = Capture::open(range.lab.near()).unwrap();
            let order = Order { load: Some(1e5), seconds: 1.0 };
            let sent = range.lab.far().namespace.run(|| sockets.send(&order, &NEVER)).unwrap();
            assert_eq!(sent.generated.packets, 200, "{kind:?} {name}");
            let captured = capture.take(200).unwrap();
            assert_eq!(captured.len(), 200, "{kind:?} {name}");
            for (number, got) in (0_u64..).zip(&captured) {
                let stamp = Stamp::of(&got.bytes).unwrap();
                let mut expected = vec![0; 1600];
                let length = frames.write(number, &stamp, &mut expected);
                assert_eq!(got.bytes, expected[..length], "{kind:?} {name} {number}");
                assert_eq!((stamp.token, stamp.sequence), (3, number as u32));
            }
        }
    }
}

/// A capture of frames of growing length, 10 ms from each other.
fn capture_file(path: &Path, frames: u32) {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_ne_bytes());
    }
    for at in 0..frames {
        let length = 60 + at;
        for word in [100, 10_000_000 * at, length, length] {
            file.extend(word.to_ne_bytes());
        }
        file.extend((0..length).map(|byte| (byte + at) as u8));
    }
    std::fs::write(path, file).unwrap();
}

#[test]
fn a_capture_is_sent_again_as_it_was_recorded_or_at_a_rate() {
    if !require::veth("a_capture_is_sent_again_as_it_was_recorded_or_at_a_rate") {
        return;
    }
    let range = Range::new(PASS);
    let folder = std::env::temp_dir().join(format!("hoist-replayed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("in.pcap");
    capture_file(&path, 8);
    let port = ("v1", range.lab.far().ifindex);
    for (kind, timing, load, loops, frames, least) in [
        (Kind::AfXdp, Timing::Recorded(1.0), None, 1, 8, 70),
        (Kind::AfPacket, Timing::Recorded(1.0), None, 2, 16, 140),
        (Kind::AfPacket, Timing::Recorded(10.0), None, 1, 8, 7),
        (Kind::AfXdp, Timing::Ordered, Some(1000.0), 3, 24, 23),
        (Kind::AfPacket, Timing::Ordered, None, 4, 32, 0),
    ] {
        let replay = Replay::open(&path, kind, port, 0).unwrap();
        let mut replay = replay.timed(timing).unwrap().loops(loops);
        let capture = Capture::open(range.lab.near()).unwrap();
        let order = Order { load, seconds: 30.0 };
        let begun = Instant::now();
        let sent = range.lab.far().namespace.run(|| replay.send(&order, &NEVER)).unwrap();
        let what = format!("{kind:?} {timing:?} {load:?}: {sent:?}");
        assert!(begun.elapsed() >= Duration::from_millis(least), "{what}");
        assert_eq!((sent.generated.packets, sent.intended), (frames, frames), "{what}");
        let captured = capture.take(frames as usize).unwrap();
        assert_eq!(captured.len(), frames as usize, "{what}");
        for (number, got) in captured.iter().enumerate() {
            let at = number as u32 % 8;
            let expected: Vec<u8> = (0..60 + at).map(|byte| (byte + at) as u8).collect();
            assert_eq!(got.bytes, expected, "{what} {number}");
        }
    }
    std::fs::write(&path, "not a capture").unwrap();
    assert!(Replay::open(&path, Kind::AfPacket, port, 0).is_err());
    capture_file(&path, 0);
    let empty = Replay::open(&path, Kind::AfPacket, port, 0).unwrap_err().to_string();
    assert!(empty.contains("no frames"), "{empty}");
    std::fs::remove_dir_all(&folder).unwrap();
}
