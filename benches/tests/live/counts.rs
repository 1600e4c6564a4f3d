//! How many frames, and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hoist_benches::generator::live::Options;
use hoist_benches::profile::Profile;
use hoist_hwtests::require;

use crate::lab::Range;

static NEVER: AtomicBool = AtomicBool::new(false);
const DROP: i32 = 1;

#[test]
fn what_is_said_to_be_sent_is_what_arrives() {
    if !require::veth("what_is_said_to_be_sent_is_what_arrives") {
        return;
    }
    let range = Range::new(DROP);
    for (name, stamped, load, cpus, rewrite) in [
        ("64", false, None, &[0][..], false),
        ("64", false, None, &[0], true),
        ("64", true, None, &[0], true),
        ("imix", true, None, &[1], true),
        ("flows-1000", true, None, &[0, 1], true),
        ("64", false, Some(2e5), &[0], true),
        ("64", true, Some(1e5), &[0, 1], true),
        ("burst", false, Some(1e5), &[1], true),
        ("vxlan", false, Some(5e4), &[0], true),
    ] {
        let options = Options { token: 7, rewrite, ..Options::on(cpus) };
        let mut live = range.live(&Profile::named(name).unwrap(), stamped, options);
        for _ in 0..2 {
            let before = range.received();
            let run = range.lab.far().namespace.run(|| live.run(load, 0.05, &NEVER)).unwrap();
            let what = format!("{name} {stamped} {load:?} {cpus:?}: {run:?}");
            assert_eq!(range.received() - before, run.generated(), "{what}");
            assert!(run.cores.iter().all(|core| core.generated > 0), "{what}");
            match load {
                None => assert_eq!(run.intended, run.generated(), "{what}"),
                Some(load) => {
                    assert!((run.intended as f64 - load * 0.05).abs() <= 32.0, "{what}");
                    let late = run.late().unwrap();
                    assert_eq!(late.frames, run.generated(), "{what}");
                    assert!(late.min <= late.p50 && late.p50 <= late.max, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_limit_is_kept_to_the_frame() {
    if !require::veth("a_limit_is_kept_to_the_frame") {
        return;
    }
    let range = Range::new(DROP);
    for (load, limit) in [(None, 1), (None, 1024), (None, 5_000), (Some(1e5), 77)] {
        let options = Options { limit: Some(limit), ..Options::on(&[0, 1]) };
        let mut live = range.live(&Profile::of_size(64), false, options);
        let before = range.received();
        let run = range.lab.far().namespace.run(|| live.run(load, 5.0, &NEVER)).unwrap();
        assert_eq!((run.generated(), run.intended), (2 * limit, 2 * limit), "{load:?} {run:?}");
        assert_eq!(range.received() - before, 2 * limit);
    }
}

#[test]
fn it_stops_when_told_to_and_says_what_it_sent() {
    if !require::veth("it_stops_when_told_to_and_says_what_it_sent") {
        return;
    }
    let range = Range::new(DROP);
    for load in [None, Some(1e5)] {
        let mut live = range.live(&Profile::of_size(64), false, Options::on(&[0]));
        let (before, stop) = (range.received(), AtomicBool::new(false));
        let begun = Instant::now();
        let run = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(150));
                stop.store(true, Ordering::Relaxed);
            });
            range.lab.far().namespace.run(|| live.run(load, 600.0, &stop)).unwrap()
        });
        assert!(begun.elapsed() < Duration::from_secs(60), "{load:?}");
        assert_eq!(range.received() - before, run.generated(), "{run:?}");
        // On an idle machine both are the same; here others run too.
        assert!(run.intended >= run.generated() && run.intended < 10_000_000_000, "{run:?}");
    }
}

#[test]
fn what_nobody_polls_for_is_generated_and_does_not_arrive() {
    if !require::veth("what_nobody_polls_for_is_generated_and_does_not_arrive") {
        return;
    }
    let mut range = Range::new(DROP);
    range.detach();
    let mut live = range.live(&Profile::of_size(64), false, Options::on(&[0]));
    let run = range.lab.far().namespace.run(|| live.run(Some(1e5), 0.02, &NEVER)).unwrap();
    assert!(run.generated() > 0);
    assert_eq!(range.received(), 0);
}
