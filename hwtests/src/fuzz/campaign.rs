//! Many programs, many frames, on all CPUs that are given to it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hoist_bpf::passes::lower::Rewrite;
use rustix::thread::CpuSet;

use super::Random;
use super::bench::{Bench, Tally, Trial};
use super::compare::{Applied, Difference};
use super::coverage::Coverage;
use super::frames::Pool;
use super::generate::{self, Limits};
use super::model::Model;
use super::render;
use super::run::{self, Observed, Place};
use super::shrink;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Everything follows from it.
    pub seed: u64,
    /// Number of the first program.
    pub first: u64,
    /// Programs.
    pub programs: u64,
    /// Frames for each program.
    pub runs: usize,
    /// Runs after which the maps are compared.
    pub batch: usize,
    /// CPUs, from the first on, each with a worker of its own.
    pub workers: usize,
    /// Differences after which to stop.
    pub findings: usize,
    /// Whether differences are shrunk; where it is enough to know that there is one, they need not be.
    pub shrink: bool,
    /// What programs may do.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            first: 0,
            programs: 100,
            runs: 100,
            batch: 250,
            workers: 1,
            findings: 10,
            shrink: true,
            limits: Limits::default(),
        }
    }
}

/// A difference, shrunk.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Number of the program, from which and the seed it can be made again.
    pub number: u64,
    /// What is left of the program.
    pub model: Model,
    /// What is left of the frames, in their order.
    pub frames: Vec<Vec<u8>>,
    /// What native XDP does with the last of them.
    pub native: Observed,
    /// The form that differed.
    pub form: &'static str,
    /// How the last of them differed.
    pub difference: Difference,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was exercised.
    pub coverage: Coverage,
    /// What was taken as equal, how often.
    pub applied: Applied,
    /// Programs that lowering rewrote something of, by what.
    pub rewrites: BTreeMap<Rewrite, u64>,
    /// Programs that the verifier refused in their native form, with the last lines of its log.
    pub rejected: Vec<(u64, String)>,
    /// Programs that the pass did not apply to, by code, with the number of the first.
    pub refused: BTreeMap<String, (u64, u64)>,
    /// Differences.
    pub findings: Vec<Finding>,
}

/// The frames of a program, over those of the one before.
pub fn frames(seed: u64, number: u64, pool: &Pool, count: usize, frames: &mut Vec<Vec<u8>>) {
    let mut random = Random::new(seed, 2 * number + 1);
    frames.resize(count, Vec::new());
    for frame in frames {
        pool.write(&mut random, frame);
    }
}

/// The program of a number.
#[must_use]
pub fn model(seed: u64, number: u64, limits: Limits) -> Model {
    let mut random = Random::new(seed, 2 * number);
    generate::model(&mut random, limits, &format!("fuzz-{seed}-{number}"))
}

/// Tries programs. `progress` is told the number of programs done so far.
///
/// # Errors
/// The namespace to run in could not be made.
pub fn run(
    bench: Bench<'_>,
    settings: &Settings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, crate::lab::LabError> {
    let (next, done) = (AtomicU64::new(settings.first), AtomicU64::new(0));
    let shared = Mutex::new(Outcome::default());
    let places =
        (0..settings.workers.max(1)).map(|_| Place::new()).collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for (cpu, place) in places.iter().enumerate() {
            let (next, done, shared) = (&next, &done, &shared);
            let work = move || {
                stay_on(cpu);
                worker(bench, settings, next, shared, &|| {
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                });
            };
            scope.spawn(move || place.run(work));
        }
    });
    let mut outcome = shared.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    outcome.findings.sort_by_key(|finding| finding.number);
    Ok(outcome)
}

/// Keeps this thread on one CPU: maps with a value for each CPU would differ otherwise.
pub(super) fn stay_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // On a machine with fewer CPUs the workers share; comparing still works, since both forms run
    // on the same thread, except for a move in between, which would be reported as a difference.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

fn worker(
    bench: Bench<'_>,
    settings: &Settings,
    next: &AtomicU64,
    shared: &Mutex<Outcome>,
    done: &dyn Fn(),
) {
    let (pool, mut sent) = (Pool::default(), Vec::new());
    let mut tally = Tally::default();
    let lock = || shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= settings.first + settings.programs
            || lock().findings.len() >= settings.findings
        {
            break;
        }
        let model = model(settings.seed, number, settings.limits);
        frames(settings.seed, number, &pool, settings.runs, &mut sent);
        match bench.attempt(&model, &sent, settings.batch, &mut tally) {
            Trial::Same => {}
            Trial::Differs(at, form, difference) => {
                let (model, frames, difference) = if settings.shrink {
                    shrink::shrink(bench, &model, &sent[..=at], form, difference)
                } else {
                    (model, sent[..=at].to_vec(), difference)
                };
                let contents = run::contents(bench.kernel, &model).unwrap_or_default();
                let native = bench.last_of_native(render::module(&model), &contents, &frames);
                let native = native.unwrap_or_default();
                let finding = Finding { number, model, frames, native, form, difference };
                lock().findings.push(finding);
            }
            Trial::Rejected(log) => lock().rejected.push((number, log)),
            Trial::Refused(refusal) => {
                lock().refused.entry(refusal.code).or_insert((0, number)).0 += 1;
            }
        }
        done();
    }
    let mut outcome = lock();
    outcome.coverage.add(&tally.coverage);
    for (what, count) in tally.applied {
        *outcome.applied.entry(what).or_default() += count;
    }
    for (what, count) in tally.rewrites {
        *outcome.rewrites.entry(what).or_default() += count;
    }
}
