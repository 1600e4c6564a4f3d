//! What the harness itself costs, and how well it repeats.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hoist_benches::generator::{Live, Options};
use hoist_benches::meter::floors::{self, Effort};
use hoist_benches::meter::{Dut, Length, Limits, Tester, bounce};
use hoist_benches::profile::{Ends, Frames, Profile};
use hoist_benches::search::Bench as _;
use hoist_benches::stats::Summary;
use hoist_benches::trial::Order;
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::dut;
use hoist_hwtests::lab::Lab;
use hoist_offload::EngineKind;
use hoist_offload::plan::Choice;

use crate::world::{Failure, Outcome};

/// Runs of each.
const RUNS: usize = 11;

/// Of 64 bytes, without stamps.
fn frames(lab: &Lab) -> Outcome<Frames> {
    let ends = Ends::between(lab.far().mac, lab.near().mac);
    Ok(Frames::of(&Profile::of_size(64), ends, false)?)
}

fn frame(lab: &Lab) -> Outcome<Vec<u8>> {
    Ok(frames(lab)?.longest().to_vec())
}

fn generator(lab: &Lab, kernel: &Arc<dyn Kernel>) -> Outcome<Box<Live>> {
    let (far, frames) = (lab.far(), frames(lab)?);
    Ok(Box::new(Live::new(Arc::clone(kernel), far.ifindex, frames, Options::on(&[0]))?))
}

fn spread(summary: &Summary) -> f64 {
    (summary.max - summary.min) / summary.median * 100.0
}

/// Floors, what counting costs, how well a bounce repeats, and the memory of all that.
pub(crate) fn own_cost() -> Outcome<()> {
    let lab = Lab::with(|near| near.gro(true), |far| far.gro(true))?;
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
    // A comparison is in turns, so that what disturbs it disturbs both.
    let limits = Limits { foreign_invalid: 1.1, steal_invalid: 1.1, ..Limits::default() };
    let effort = Effort { runs: RUNS, seconds: 0.4, limits };
    let (near, far) = (lab.near(), lab.far());
    let mut found = vec![floors::generator(&kernel, &frame(&lab)?, effort)?];
    let traffic = generator(&lab, &kernel)?;
    found.push(floors::empty_program(&kernel, far, near, traffic, effort)?.0);
    found.push(floors::bounce(&kernel, near, far, &frame(&lab)?, effort)?);
    let counted = floors::meter(far, near, || Ok(generator(&lab, &kernel)?), effort)?;
    let cost = 1.0 - counted[0].pps.median / counted[1].pps.median;
    found.extend(counted);
    for floor in &found {
        let (pps, spread) = (&floor.pps, spread(&floor.pps));
        println!("floor, {}, Mpps: {:.3}, spread {spread:.1} %", floor.name, pps.median / 1e6);
    }
    println!("meter, cost of counting, part of the rate: {:.2} %", cost * 100.0);
    bounces(&lab, &kernel)?;
    engines(&lab, &kernel)?;
    memory()
}

/// The same program bounced again and again.
fn bounces(lab: &Lab, kernel: &Arc<dyn Kernel>) -> Outcome<()> {
    let device = dut::Dut::new(lab.near())?;
    let (_, attachment) =
        device.run(&device.prebuilt("swap_tx")?, Choice::only(EngineKind::Native))?;
    let length = Length { warm_up: Duration::from_millis(200), window: Duration::from_millis(800) };
    let stop = AtomicBool::new(false);
    let one = |_| {
        let found = bounce::measure(kernel, lab.near(), lab.far(), frame(lab)?, length, &stop)?;
        if found.lost > 0 {
            Err(format!("{} frames were lost", found.lost).into())
        } else {
            Ok(found.hops / 1e6)
        }
    };
    let rates: Result<Vec<f64>, Failure> = (0..RUNS).map(one).collect();
    drop(attachment);
    let summary = Summary::of(&rates?).ok_or("no rate")?;
    let spread = spread(&summary);
    println!(
        "bounce, swap_tx, million hops per second: {:.3}, spread {spread:.1} %",
        summary.median
    );
    Ok(())
}

/// Whether every packet of long trials is accounted for, on every engine.
fn engines(lab: &Lab, kernel: &Arc<dyn Kernel>) -> Outcome<()> {
    let device = dut::Dut::new(lab.near())?;
    for wanted in dut::engines() {
        let (_, attachment) = device.run(&device.prebuilt("drop")?, Choice::only(wanted))?;
        let traffic = generator(lab, kernel)?;
        let mut tester = Tester::new(lab.far(), traffic, Dut::new(lab.near(), attachment)?);
        let trial = tester.trial(Order { load: None, seconds: 2.0 })?;
        let residuals: i128 = trial.ledger.stages.iter().map(|s| s.residual().abs()).sum();
        println!("ledger, {wanted}: {} frames, residual {residuals}", trial.generated);
    }
    Ok(())
}

/// Of this process, after all of the above.
fn memory() -> Outcome<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let value = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    println!("memory of the harness, peak, MiB: {:.1}", value.parse::<f64>()? / 1024.0);
    Ok(())
}
