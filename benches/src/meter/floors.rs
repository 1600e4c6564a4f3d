//! Floors: what the harness itself costs, to be seen beside what it measures.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::{Kernel, TestRunSpec};
use hoist_hwtests::dut::{self, Failure};
use hoist_hwtests::lab::Port;
use hoist_offload::plan::Choice;
use hoist_offload::{EngineKind, Verdict};

use super::bare;
use super::bounce::{self, Bounce};
use super::dut::{Dut, Path};
use super::findings::Limits;
use super::rate::Length;
use super::tester::Tester;
use super::traffic::Traffic;
use crate::generator::Generator;
use crate::pairs::interleaved;
use crate::report::Floor;
use crate::search::Bench as _;
use crate::stats::Summary;
use crate::trial::Order;

/// How often each floor is measured, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Runs.
    pub runs: usize,
    /// Of each, in seconds.
    pub seconds: f64,
    /// What the machine may do meanwhile.
    pub limits: Limits,
}

/// How many trials may be taken for each run that counts.
const ATTEMPTS: usize = 3;

fn floor(name: &str, about: &str, rates: &[f64]) -> Result<Floor, Failure> {
    let pps = Summary::of(rates).ok_or_else(|| format!("{name}: no rate was measured"))?;
    Ok(Floor { name: name.to_owned(), about: about.to_owned(), pps })
}

/// Frames that the kernel makes and recycles when nobody takes them (live frames that a program
/// drops at once): what no generator of this kind exceeds on one core.
///
/// # Errors
/// The kernel's refusal.
pub fn generator(kernel: &Arc<dyn Kernel>, frame: &[u8], effort: Effort) -> Result<Floor, Failure> {
    /// Long enough for the two RCU waits of a call not to matter much.
    const FIRST: u32 = 1 << 20;
    let program = bare::load(&**kernel, Verdict::Drop)?;
    let run = |frames: u32| {
        let spec = TestRunSpec {
            data: frame,
            repeat: frames,
            live_frames: true,
            batch: Generator::BATCH,
            ..TestRunSpec::default()
        };
        let start = Instant::now();
        kernel.test_run(program.as_fd(), &spec)?;
        Ok::<_, Failure>(start.elapsed().as_secs_f64())
    };
    let rehearsed = f64::from(FIRST) / run(FIRST)?;
    let frames = (rehearsed * effort.seconds).clamp(f64::from(FIRST), f64::from(u32::MAX)) as u32;
    let rates: Result<Vec<f64>, Failure> =
        (0..effort.runs).map(|_| Ok(f64::from(frames) / run(frames)?)).collect();
    let about = "frames made and recycled by one core while nobody takes them";
    floor("generator alone", about, &rates?)
}

/// What the generator brings into a native program that only drops, and does not count: what no
/// program exceeds. The traffic is given back.
///
/// # Errors
/// The port takes no native program, or a trial failed.
pub fn empty_program(
    kernel: &Arc<dyn Kernel>,
    sender: &Port,
    port: &Port,
    traffic: Box<dyn Traffic>,
    effort: Effort,
) -> Result<(Floor, Box<dyn Traffic>), Failure> {
    let link = bare::attach(&**kernel, port, Verdict::Drop)?;
    let tester = Tester::new(sender, traffic, Dut::control(port, Path::Native));
    let mut tester = tester.limits(effort.limits);
    let order = Order { load: None, seconds: effort.seconds };
    let mut rates = Vec::new();
    tester.warm_up(effort.seconds).map_err(|halt| halt.to_string())?;
    for _ in 0..effort.runs * ATTEMPTS {
        let trial = tester.trial(order).map_err(|halt| halt.to_string())?;
        if trial.valid() {
            rates.push(trial.pps());
        }
        if rates.len() == effort.runs {
            break;
        }
    }
    drop(link);
    let about = "frames that one generator brings into a native program that drops them";
    Ok((floor("empty program", about, &rates)?, tester.into_parts().0))
}

/// Hops of frames between two bare programs.
///
/// # Errors
/// See [`bounce::measure`].
pub fn bounce(
    kernel: &Arc<dyn Kernel>,
    near: &Port,
    far: &Port,
    frame: &[u8],
    effort: Effort,
) -> Result<Floor, Failure> {
    let link = bare::attach(&**kernel, near, Verdict::Tx)?;
    let stop = AtomicBool::new(false);
    let length = Length {
        warm_up: Duration::from_secs_f64(effort.seconds / 4.0),
        window: Duration::from_secs_f64(effort.seconds),
    };
    let one = |_| bounce::measure(kernel, near, far, frame.to_vec(), length, &stop);
    let bounces: Result<Vec<Bounce>, Failure> = (0..effort.runs).map(one).collect();
    drop(link);
    let rates: Vec<f64> = bounces?.iter().map(|bounce| bounce.hops).collect();
    floor(
        "bounce",
        "receptions, runs and transmissions of frames between two bare programs",
        &rates,
    )
}

/// The empty program with its verdicts counted by hoist, and without, in turn: the difference is
/// what the meter costs.
///
/// # Errors
/// The port takes no native program, or a trial failed.
pub fn meter(
    sender: &Port,
    port: &Port,
    mut traffic: impl FnMut() -> Result<Box<dyn Traffic>, Failure>,
    effort: Effort,
) -> Result<[Floor; 2], Failure> {
    let device = dut::Dut::new(port)?;
    let mut make = |count: bool| {
        let mut job = device.prebuilt("drop")?;
        job.count_verdicts = count;
        let (_, attachment) = device.run(&job, Choice::only(EngineKind::Native))?;
        let mut tester = Tester::new(sender, traffic()?, Dut::new(port, attachment)?);
        let order = Order { load: None, seconds: effort.seconds };
        let trial = tester.trial(order).map_err(|halt| halt.to_string())?;
        Ok::<_, Failure>(trial.pps())
    };
    let cell = std::cell::RefCell::new(&mut make);
    let take = |count| (*cell.borrow_mut())(count);
    let both = interleaved(effort.runs.max(1), || take(true), || take(false))?;
    let named = |name: &str, about: &str, pps| Floor {
        name: name.to_owned(),
        about: about.to_owned(),
        pps,
    };
    Ok([
        named("meter: counted", "the empty program with verdicts counted", both.ours),
        named("meter: not counted", "the same, in turn with it, without counting", both.theirs),
    ])
}
