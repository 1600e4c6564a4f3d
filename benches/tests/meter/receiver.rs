//! The receiving program: whose frames, in which order, and how late.

use hoist_benches::generator::{Live, Options};
use hoist_benches::meter::{Marks, Receiver, Tester};
use hoist_benches::profile::{Ends, Frames, Profile};
use hoist_benches::search::Bench as _;
use hoist_benches::stamp::Stamp;
use hoist_benches::trial::{Order, Sequence};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_hwtests::wait;
use hoist_offload::EngineKind;
use rustix::time::{ClockId, clock_gettime};

use crate::world::{TOKEN, frame, kernel, lab, under_test};

const ALL: Marks = Marks { token: TOKEN, sequenced: true, timed: true };

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

struct Wire {
    lab: Lab,
    sender: Sender,
    receiver: Receiver,
    sent: u64,
}

impl Wire {
    fn new() -> Self {
        let lab = lab();
        let sender = Sender::open(lab.far()).unwrap();
        let receiver = Receiver::attach(lab.near()).unwrap();
        receiver.expect(ALL).unwrap();
        Self { lab, sender, receiver, sent: 0 }
    }

    fn send(&mut self, stamp: Stamp) {
        self.sender.send(&frame(&self.lab, stamp, 30)).unwrap();
        self.sent += 1;
    }

    fn sequence(&mut self, stream: u8, numbers: impl IntoIterator<Item = u32>) {
        for sequence in numbers {
            let time = now();
            self.send(Stamp { token: TOKEN, stream, sequence, intended: time, sent: time });
        }
    }

    /// Once everything has arrived.
    fn arrived(&self) -> Sequence {
        let start = std::time::Instant::now();
        while start.elapsed() < wait::PATIENCE {
            let tally = self.receiver.tally().unwrap();
            if tally.ours + tally.foreign >= self.sent {
                break;
            }
        }
        self.receiver.sequence().unwrap()
    }
}

#[test]
fn loss_order_and_duplicates_are_told_apart() {
    if !require::veth("loss_order_and_duplicates_are_told_apart") {
        return;
    }
    let all = |received, skipped, reordered, duplicates, stale| Sequence {
        received,
        skipped,
        reordered,
        duplicates,
        stale,
    };
    let mut cases: Vec<(&str, Vec<u32>, Sequence)> = vec![
        ("in order", (0..300).collect(), all(300, 0, 0, 0, 0)),
        ("a few lost", vec![0, 1, 5, 6], all(4, 3, 0, 0, 0)),
        ("the first lost", vec![3], all(1, 3, 0, 0, 0)),
        ("one late", vec![0, 2, 1, 3], all(4, 1, 1, 0, 0)),
        ("one twice", vec![0, 1, 1, 2], all(4, 0, 0, 1, 0)),
        ("all of it", vec![0, 1, 2, 5, 4, 4, 3, 7], all(8, 3, 2, 1, 0)),
        ("late beyond memory", vec![0, 5000, 10], all(3, 4999, 0, 0, 1)),
        ("a jump over the whole window, then late", vec![0, 5000, 4900], all(3, 4999, 1, 0, 0)),
    ];
    // Twice the window in order, then the last of it again.
    let again = (0..2000).chain(1100..2000).collect();
    cases.push(("again", again, all(2900, 0, 0, 900, 0)));
    let mut wire = Wire::new();
    for (what, numbers, expected) in cases {
        wire.receiver.expect(ALL).unwrap();
        wire.sent = 0;
        wire.sequence(7, numbers);
        assert_eq!(wire.arrived(), expected, "{what}");
    }
    wire.receiver.expect(ALL).unwrap();
    wire.sent = 0;
    wire.sequence(0, [0, 1]);
    wire.sequence(255, [0, 2]);
    assert_eq!(wire.arrived(), all(4, 1, 0, 0, 0), "streams are apart");
}

#[test]
fn frames_of_others_are_counted_apart_and_measured_nowhere() {
    if !require::veth("frames_of_others_are_counted_apart_and_measured_nowhere") {
        return;
    }
    let mut wire = Wire::new();
    wire.sequence(0, 0..10);
    wire.send(Stamp { token: TOKEN + 1, sequence: 99, ..Stamp::default() });
    wire.sender.send(&[0xff; 15]).unwrap();
    wire.sent += 1;
    assert_eq!(wire.arrived().received, 10);
    let tally = wire.receiver.tally().unwrap();
    assert_eq!((tally.ours, tally.foreign), (10, 2));
    let latency = wire.receiver.latency().unwrap().unwrap();
    assert_eq!((latency.from_sent.frames, latency.from_intended.unwrap().frames), (10, 10));
    wire.receiver.expect(Marks { timed: false, ..ALL }).unwrap();
    wire.sequence(0, 0..10);
    assert_eq!(wire.receiver.latency().unwrap(), None);
}

#[test]
fn latency_counts_from_what_was_intended_and_from_what_was_sent() {
    if !require::veth("latency_counts_from_what_was_intended_and_from_what_was_sent") {
        return;
    }
    let mut wire = Wire::new();
    let (on_the_way, late) = (5_000_000, 3_000_000_000);
    let (mut least, mut most) = (u64::MAX, 0);
    for sequence in 0..100 {
        let sent = now() - on_the_way;
        wire.send(Stamp { token: TOKEN, stream: 0, sequence, intended: sent - late, sent });
        wire.arrived();
        let took = now() - sent;
        (least, most) = (least.min(on_the_way), most.max(took));
    }
    let latency = wire.receiver.latency().unwrap().unwrap();
    let (from_sent, from_intended) = (latency.from_sent, latency.from_intended.unwrap());
    assert_eq!(from_sent.frames, 100);
    assert!(from_sent.min >= least && from_sent.max <= most, "{from_sent:?}: {least} to {most}");
    assert!(from_sent.p50 >= from_sent.min && from_sent.p99_99 <= from_sent.max);
    assert_eq!(from_intended.min - from_sent.min, late);
    assert_eq!(from_intended.max - from_sent.max, late);
    // The difference of two stamps is exact.
    let lateness = latency.lateness.unwrap();
    assert_eq!((lateness.min, lateness.max, lateness.p50), (late, late, late));
}

/// The generator's stamps, through a program that sends back, to the receiver.
#[test]
fn a_paced_stream_comes_back_in_order_and_with_its_latency() {
    if !require::veth("a_paced_stream_comes_back_in_order_and_with_its_latency") {
        return;
    }
    let lab = lab();
    let ends = Ends::between(lab.far().mac, lab.near().mac);
    let frames = Frames::of(&Profile::of_size(64), ends, true).unwrap();
    let options = Options { token: TOKEN, ..Options::on(&[0]) };
    let live = Live::new(kernel(), lab.far().ifindex, frames, options).unwrap();
    let dut = under_test(&lab, "swap_tx", EngineKind::Native).unwrap();
    let receiver = Receiver::attach(lab.far()).unwrap();
    let mut tester = Tester::new(lab.far(), Box::new(live), dut).receiving(receiver);
    for load in [Some(100_000.0), None] {
        let trial = tester.trial(Order { load, seconds: 0.1 }).unwrap();
        assert!(trial.ledger.balanced() && trial.received > 0, "{trial:#?}");
        let (sequence, latency) = (trial.sequence.unwrap(), trial.latency.clone().unwrap());
        assert_eq!(sequence.received, trial.received, "{trial:#?}");
        assert_eq!((sequence.reordered, sequence.duplicates, sequence.stale), (0, 0, 0));
        assert!(sequence.skipped + trial.received <= trial.generated);
        assert_eq!(latency.from_sent.frames, trial.received);
        assert_eq!(latency.from_intended.is_some(), load.is_some());
        assert_eq!(latency.lateness.map(|late| late.frames), load.map(|_| trial.generated));
        let sent = latency.from_sent;
        assert!(sent.min > 0 && sent.min <= sent.p50 && sent.p99_99 <= sent.max, "{sent:?}");
    }
}
