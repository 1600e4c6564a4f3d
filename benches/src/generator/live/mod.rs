//! Frames made and paced within the kernel.
//!
//! One call of `BPF_PROG_TEST_RUN` with live frames for each core and order, however long it lasts:
//! a call begins with a wait for RCU of some 24 ms, in which nothing is sent. The program itself
//! begins on all cores together, keeps to the [`Schedule`], counts, and ends sending after exactly as
//! many frames as it says; what is left of the call is ended by a signal.
//!
//! The program rewrites the header of every frame, because the kernel uses pages again without doing
//! so, and a program under test may have written into them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::{Interrupt, Kernel, KernelError, TestRunSpec, errno_name};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::schedule::{self, Schedule, ScheduleError};
use crate::profile::Frames;

mod program;
mod state;
#[cfg(test)]
mod tests;
mod traffic;

use program::{Kind, Program};
pub use state::Core;
use state::{CORES, State};

/// How the cores of a generator work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The processors that send, each in a thread of its own that stays there.
    pub cpus: Vec<u32>,
    /// Written into stamps ([`crate::stamp`]), where frames have room for those.
    pub token: u16,
    /// The stream of the first processor; each further one has the next.
    pub stream: u8,
    /// Writes the header of each frame anew. Without it, whatever the last receiver made of a page
    /// may be sent again; frames that differ from each other are always written.
    pub rewrite: bool,
    /// Frames that each processor sends at most for an order.
    pub limit: Option<u64>,
}

impl Options {
    /// On these processors, with everything else as most want it.
    #[must_use]
    pub fn on(cpus: &[u32]) -> Self {
        Self { cpus: cpus.to_vec(), token: 0, stream: 0, rewrite: true, limit: None }
    }
}

/// What one order brought about.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Frames that the schedule called for; without one, those that were sent.
    pub intended: u64,
    /// What each processor did.
    pub cores: Vec<Core>,
    /// Frames by how late they were, in buckets of a log-linear histogram; empty without a schedule.
    pub lateness: Vec<u64>,
}

impl Run {
    /// Frames that were sent.
    #[must_use]
    pub fn generated(&self) -> u64 {
        self.cores.iter().map(|core| core.generated).sum()
    }

    /// From the first frame to the last, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let first = self.cores.iter().map(|core| core.first).min().unwrap_or(0);
        let last = self.cores.iter().map(|core| core.last).max().unwrap_or(0);
        last.saturating_sub(first) as f64 / 1e9
    }
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The program could not be loaded.
    #[error("the generator's program: {0}")]
    Program(String),
    /// The kernel has no live frames.
    #[error(
        "this kernel makes no live frames ({0}); they came with Linux 5.18: generate by sockets instead"
    )]
    NoLiveFrames(KernelError),
    /// The kernel's refusal.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// No schedule is like that.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A processor that cannot be used.
    #[error("cannot generate on CPU {cpu}: {why}")]
    Cpu {
        /// Which.
        cpu: u32,
        /// Why not.
        why: String,
    },
}

/// A generator within the kernel.
#[derive(Debug)]
pub struct Live {
    kernel: Arc<dyn Kernel>,
    ifindex: u32,
    frames: Frames,
    options: Options,
    flood: Option<Program>,
    paced: Option<Program>,
}

impl Live {
    /// Prepares to send frames out of an interface.
    ///
    /// # Errors
    /// There are no processors, or more than the program has room for.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        ifindex: u32,
        frames: Frames,
        options: Options,
    ) -> Result<Self, LiveError> {
        let mut slots = Vec::new();
        for cpu in &options.cpus {
            let slot = *cpu as usize % CORES;
            if slots.contains(&slot) {
                let why = format!("it is one twice, or {CORES} away from another");
                return Err(LiveError::Cpu { cpu: *cpu, why });
            }
            slots.push(slot);
        }
        if slots.is_empty() {
            return Err(LiveError::Cpu { cpu: 0, why: "no processor is given".to_owned() });
        }
        Ok(Self { kernel, ifindex, frames, options, flood: None, paced: None })
    }

    /// What is sent.
    #[must_use]
    pub const fn frames(&self) -> &Frames {
        &self.frames
    }

    /// How.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Sends at a load, in frames per second of all processors together, or without one as fast as it
    /// goes. The calling thread is in the interface's network namespace. `stop` ends it within
    /// milliseconds.
    ///
    /// # Errors
    /// Nothing could be sent, or not all of it.
    pub fn run(
        &mut self,
        load: Option<f64>,
        seconds: f64,
        stop: &AtomicBool,
    ) -> Result<Run, LiveError> {
        let streams = u32::try_from(self.options.cpus.len()).unwrap_or(u32::MAX);
        let burst = self.frames.profile().burst;
        let schedules: Option<Vec<Schedule>> = load
            .map(|load| {
                (0..streams).map(|n| Schedule::new(load, seconds, burst, (n, streams))).collect()
            })
            .transpose()?;
        let limit = self.options.limit.unwrap_or(u64::MAX);
        let duration = schedule::duration(seconds)?;
        let state = State::new(&self.options.cpus, schedules.as_deref(), duration, limit);
        let kind = if load.is_some() { Kind::Paced } else { Kind::Flood };
        self.prepare(kind)?;
        let program = match kind {
            Kind::Flood => &self.flood,
            Kind::Paced => &self.paced,
        };
        let Some(program) = program else {
            return Err(LiveError::Program("not loaded".to_owned()));
        };
        program.begin(&*self.kernel, &state, &self.options.cpus)?;
        let batch = batch(load, streams);
        self.drive(program, batch, duration, stop)?;
        let cores = program.state(&*self.kernel)?.cores(&self.options.cpus);
        let lateness = match kind {
            Kind::Flood => Vec::new(),
            Kind::Paced => program.lateness(&*self.kernel, &self.options.cpus)?,
        };
        let intended = match &schedules {
            Some(schedules) => {
                let each = schedules.iter().zip(&cores);
                each.map(|(schedule, core)| core.intended(schedule, limit)).sum()
            }
            None => cores.iter().map(|core| core.generated).sum(),
        };
        Ok(Run { intended, cores, lateness })
    }

    fn prepare(&mut self, kind: Kind) -> Result<(), LiveError> {
        let slot = match kind {
            Kind::Flood => &mut self.flood,
            Kind::Paced => &mut self.paced,
        };
        if slot.is_none() {
            let loaded =
                Program::load(&*self.kernel, kind, self.ifindex, &self.frames, &self.options)?;
            *slot = Some(loaded);
        }
        Ok(())
    }

    /// One call on each processor, until each says that it has ended.
    fn drive(
        &self,
        program: &Program,
        batch: u32,
        duration: u64,
        stop: &AtomicBool,
    ) -> Result<(), LiveError> {
        let frame = self.frames.longest();
        let over = AtomicBool::new(false);
        let ends: Vec<Interrupt> = self.options.cpus.iter().map(|_| Interrupt::default()).collect();
        thread::scope(|scope| {
            let calls: Vec<_> = self
                .options
                .cpus
                .iter()
                .zip(&ends)
                .map(|(cpu, end)| {
                    let (kernel, over) = (&*self.kernel, &over);
                    scope.spawn(move || send(kernel, program, frame, batch, *cpu, end, over))
                })
                .collect();
            let watched =
                self.watch(program, duration, stop, || calls.iter().any(|c| c.is_finished()));
            over.store(true, Ordering::Release);
            while calls.iter().any(|call| !call.is_finished()) {
                ends.iter().for_each(|end| {
                    end.end();
                });
                thread::sleep(Duration::from_micros(200));
            }
            let results = calls
                .into_iter()
                .map(|call| call.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            let sent = results.fold(Ok(()), Result::and);
            watched.and(sent)
        })
    }

    /// Waits until all processors have ended, or one of the calls has.
    fn watch(
        &self,
        program: &Program,
        duration: u64,
        stop: &AtomicBool,
        failed: impl Fn() -> bool,
    ) -> Result<(), LiveError> {
        /// Between two looks while nothing is expected to happen, and towards the end.
        const NAPS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1));
        let end = Instant::now() + Duration::from_nanos(duration);
        let mut told = false;
        loop {
            if stop.load(Ordering::Relaxed) && !told {
                program.stop(&*self.kernel)?;
                told = true;
            }
            let near = told || self.options.limit.is_some() || Instant::now() >= end;
            let left = end.saturating_duration_since(Instant::now());
            thread::sleep(if near { NAPS.1 } else { NAPS.0.min(left.max(NAPS.1)) });
            if failed() {
                return Ok(());
            }
            if near {
                let state = program.state(&*self.kernel)?;
                let cores = state.cores(&self.options.cpus);
                // Before all are there none has begun, and none looks whether it is to stop.
                if cores.iter().all(Core::ended) || (told && cores.iter().all(|c| c.first == 0)) {
                    return Ok(());
                }
            }
        }
    }
}

/// Frames that are put together before they are sent. With many, each waits for the others; below 16
/// the highest rate suffers.
fn batch(load: Option<f64>, streams: u32) -> u32 {
    /// Frames per second of a core that batches of 16 are enough for.
    const EASY: f64 = 3e6;
    match load {
        Some(load) if load / f64::from(streams) <= EASY => 16,
        _ => 64,
    }
}

/// Makes calls on a processor until told that it is over.
fn send(
    kernel: &dyn Kernel,
    program: &Program,
    frame: &[u8],
    batch: u32,
    cpu: u32,
    end: &Interrupt,
    over: &AtomicBool,
) -> Result<(), LiveError> {
    let mut cpus = CpuSet::new();
    if cpu as usize >= CpuSet::MAX_CPU {
        return Err(LiveError::Cpu { cpu, why: "there are not so many".to_owned() });
    }
    cpus.set(cpu as usize);
    sched_setaffinity(None, &cpus).map_err(|e| LiveError::Cpu { cpu, why: e.to_string() })?;
    let spec = TestRunSpec {
        data: frame,
        repeat: i32::MAX.unsigned_abs(),
        live_frames: true,
        batch,
        interrupt: Some(end),
        ..TestRunSpec::default()
    };
    while !over.load(Ordering::Acquire) {
        match kernel.test_run(program.descriptor(), &spec) {
            // Ended by us, or by a signal that was for somebody else.
            Err(error) if errno_name(error.errno) == "EINTR" => {}
            Err(error) if errno_name(error.errno) == "EINVAL" => {
                return Err(LiveError::NoLiveFrames(error));
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    Ok(())
}
