//! What the program does with frames that are overdue at the end, without waiting for an accident.

use std::sync::Arc;
use std::thread;

use hoist_bpf::kernel::{Kernel, Linux, TestRunSpec};
use hoist_hwtests::frame::mac;
use hoist_hwtests::require;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::program::{Kind, Program};
use super::state::State;
use super::{Options, Schedule};
use crate::profile::{Ends, Frames, Profile};

const DURATION: u64 = 1_000_000_000;
const LOAD: f64 = 1000.0;
const LOOPBACK: u32 = 1;

/// Frames sent by a processor that had nothing to do for the last time at `kept_up`, and is there
/// again `after` the end, with all of its frames overdue.
fn sent(kept_up: u64, after: u64) -> u64 {
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
    let frames = Frames::of(&Profile::of_size(64), Ends::between(mac(1), mac(2)), false).unwrap();
    let options = Options::on(&[0]);
    let program = Program::load(&*kernel, Kind::Paced, LOOPBACK, &frames, &options).unwrap();
    let schedule = Schedule::new(LOAD, 1.0, 1, (0, 1)).unwrap();
    let mut state = State::new(&options.cpus, Some(&[schedule]), DURATION, u64::MAX);
    let now = clock_gettime(ClockId::Monotonic);
    let now = now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs();
    state.begun(0, now - DURATION - after, kept_up);
    program.begin(&*kernel, &state, &options.cpus).unwrap();
    let spec = TestRunSpec { data: frames.longest(), repeat: 2000, ..TestRunSpec::default() };
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            let mut cpus = CpuSet::new();
            cpus.set(0);
            sched_setaffinity(None, &cpus).unwrap();
            kernel.test_run(program.descriptor(), &spec).unwrap();
        });
        run.join().unwrap();
    });
    program.state(&*kernel).unwrap().cores(&options.cpus)[0].generated
}

#[test]
fn overdue_frames_are_sent_after_the_end_by_who_kept_up_until_then() {
    if !require::veth("overdue_frames_are_sent_after_the_end_by_who_kept_up_until_then") {
        return;
    }
    const MS: u64 = 1_000_000;
    for (kept_up, after, any) in [
        (DURATION - 10 * MS, 5 * MS, true),
        (DURATION - 200 * MS, 5 * MS, true),
        (DURATION - 10 * MS, 51 * MS, false),
        // Too slow from the start on.
        (10 * MS, 5 * MS, false),
        (0, 5 * MS, false),
    ] {
        let sent = sent(kept_up, after);
        assert_eq!(sent > 0, any, "{kept_up} {after}: {sent}");
        assert!(sent <= 1000, "{kept_up} {after}: {sent}");
    }
}
