//! Frames that bounce between two programs: how fast one is, without a generator.
//!
//! Both ends of a wire run native programs that send every frame back (`XDP_TX`). A few frames are
//! put on it once and go to and fro until one of the programs is taken off. Nothing else runs, so the
//! rate is that of the two programs and the driver between them, and it repeats far better than one
//! that hangs on a generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::Kernel;
use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;
use hoist_offload::Verdict;
use serde::{Deserialize, Serialize};

use super::bare;
use super::counters::Reading;
use super::ledger::arrivals;
use super::rate::Length;
use crate::generator::Generator;

/// Frames on the wire: enough for full batches, and few enough for a veth's ring of 256.
pub const FRAMES: u32 = 64;

/// How fast frames bounced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounce {
    /// Arrivals at the program under test, per second.
    pub pps: f64,
    /// Arrivals at both ends, per second: on one core, the reciprocal is what one reception, one run
    /// and one transmission take together.
    pub hops: f64,
    /// Frames that were lost, of [`FRAMES`]: with any, the figure is one of fewer frames.
    pub lost: u64,
    /// Over which it was measured, in seconds.
    pub seconds: f64,
}

/// Has frames bounce between the program on `near`, which must be attached natively and send back
/// what comes in, and a bare one on `far`, which is attached for the occasion.
///
/// # Errors
/// `far` takes no program, nothing comes back, or the counters cannot be read.
pub fn measure(
    kernel: &Arc<dyn Kernel>,
    near: &Port,
    far: &Port,
    frame: Vec<u8>,
    length: Length,
    stop: &AtomicBool,
) -> Result<Bounce, Failure> {
    let mirror = bare::attach(&**kernel, far, Verdict::Tx)?;
    let ends = [near, far];
    let start = timed(ends)?;
    far.namespace.run(|| Generator::new(Arc::clone(kernel), far.ifindex, frame)?.send(FRAMES))?;
    rest(length.warm_up, stop);
    let first = timed(ends)?;
    rest(length.window, stop);
    let last = timed(ends)?;
    // The next arrival at that end is the frame's last.
    drop(mirror);
    let rate = |end: usize| {
        let arrived = arrivals(&last[end].1.since(&first[end].1)).packets;
        // Each end by the time between its own readings: on a busy machine these are apart.
        arrived as f64 / (last[end].0 - first[end].0).as_secs_f64()
    };
    if rate(0) == 0.0 {
        let words = "no frame came back: the program does not send frames back where they came \
                     from (XDP_TX), or is not attached natively";
        return Err(format!("{}: {words}", near.name).into());
    }
    let lost = last.iter().zip(&start).map(|(now, then)| losses(&now.1.since(&then.1)));
    Ok(Bounce {
        pps: rate(0),
        hops: rate(0) + rate(1),
        lost: lost.sum(),
        seconds: (last[0].0 - first[0].0).as_secs_f64(),
    })
}

/// The counters of both ends, and when each was read.
fn timed(ends: [&Port; 2]) -> Result<[(Instant, Reading); 2], Failure> {
    let read = |port| {
        let reading = Reading::of(port)?;
        Ok::<_, Failure>((Instant::now(), reading))
    };
    Ok([read(ends[0])?, read(ends[1])?])
}

/// Frames that ended at one end: not sent back, or not taken by the other.
fn losses(at: &Reading) -> u64 {
    ["_xdp_drops", "_drops", "_xdp_tx_errors"]
        .iter()
        .filter_map(|end| at.queues("rx_queue_", end))
        .map(|count| count.packets)
        .sum()
}

/// Sleeps, and less when told to stop.
fn rest(time: Duration, stop: &AtomicBool) {
    const NAP: Duration = Duration::from_millis(50);
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()) {
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(left.min(NAP));
    }
}
