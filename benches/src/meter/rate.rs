//! Packet rates, counted where the packets arrive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::KernelError;
use serde::{Deserialize, Serialize};

use crate::generator::Generator;

/// How long a trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Traffic before the rate is taken: caches, page pools and frequency settle.
    pub warm_up: Duration,
    /// Over which the rate is taken.
    pub window: Duration,
}

impl Default for Length {
    /// 0.2 s and 1 s.
    fn default() -> Self {
        Self { warm_up: Duration::from_millis(200), window: Duration::from_secs(1) }
    }
}

/// One trial: what was sent, what arrived, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Frames given to the interface over the whole trial, warm-up included.
    pub sent: u64,
    /// Frames that the receiver counted over the whole trial.
    pub counted: u64,
    /// Frames per second at the receiver, within the window.
    pub pps: f64,
    /// The window as it turned out, in seconds.
    pub seconds: f64,
}

impl Trial {
    /// Frames sent that nobody counted. A figure with losses is a figure of something else.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.counted)
    }

    /// Nanoseconds per frame.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        1e9 / self.pps
    }
}

/// What can go wrong in a trial.
#[derive(Debug, thiserror::Error)]
pub enum MeterError<E> {
    /// The generator failed.
    #[error("sending packets: {0}")]
    Generator(#[source] KernelError),
    /// The receiver's counter could not be read.
    #[error("reading the receiver's counter: {0}")]
    Counter(E),
    /// The trial was stopped before it was complete.
    #[error("stopped before the trial was complete")]
    Stopped,
}

/// Runs one trial. `counted` reads the receiver's counter, which may start anywhere but must only
/// grow. The calling thread must be in the sending interface's network namespace. `stop` ends the
/// trial at the next call to the kernel, within a second or so.
///
/// # Errors
/// The generator or the counter failed, or `stop` was set.
pub fn measure<E>(
    generator: &Generator,
    length: Length,
    stop: &AtomicBool,
    mut counted: impl FnMut() -> Result<u64, E>,
) -> Result<Trial, MeterError<E>> {
    let before = counted().map_err(MeterError::Counter)?;
    let rehearsal = rehearse(generator).map_err(MeterError::Generator)?;
    let call = frames_for(rehearsal, length.warm_up + length.window);
    let done = AtomicBool::new(false);
    let (window, sent) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0_u64;
            while !done.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                generator.send(call)?;
                sent += u64::from(call);
            }
            Ok(sent)
        });
        let window = watch(length, &mut counted);
        done.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (window, sent)
    });
    if stop.load(Ordering::Relaxed) {
        return Err(MeterError::Stopped);
    }
    let sent = sent.map_err(MeterError::Generator)? + u64::from(rehearsal.frames);
    let (pps, seconds) = window.map_err(MeterError::Counter)?;
    let counted = settle(before, sent, &mut counted).map_err(MeterError::Counter)?;
    Ok(Trial { sent, counted, pps, seconds })
}

/// A short call that tells how long a call of full length must be.
#[derive(Clone, Copy)]
struct Rehearsal {
    frames: u32,
    took: Duration,
}

fn rehearse(generator: &Generator) -> Result<Rehearsal, KernelError> {
    /// Long enough for the two RCU waits of the call not to matter.
    const FRAMES: u32 = 1 << 20;
    let start = Instant::now();
    generator.send(FRAMES)?;
    Ok(Rehearsal { frames: FRAMES, took: start.elapsed() })
}

/// Frames that keep the generator busy for a given time and a quarter more, so that the window ends
/// while traffic still runs.
fn frames_for(rehearsal: Rehearsal, time: Duration) -> u32 {
    let scale = 1.25 * time.as_secs_f64() / rehearsal.took.as_secs_f64().max(1e-3);
    let frames = f64::from(rehearsal.frames) * scale;
    // The limit keeps a single call well under a minute on the slowest engine.
    frames.clamp(f64::from(rehearsal.frames), f64::from(1_u32 << 26)) as u32
}

/// The rate at the receiver within the window, and the window's length in seconds. The warm-up begins
/// with the first frame that arrives: a call to the kernel starts with a wait for RCU, which takes as
/// long as a busy machine lets it.
fn watch<E>(length: Length, counted: &mut impl FnMut() -> Result<u64, E>) -> Result<(f64, f64), E> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (deadline, idle) = (Instant::now() + PATIENCE, counted()?);
    while counted()? == idle && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(length.warm_up);
    let (start, first) = (Instant::now(), counted()?);
    thread::sleep(length.window);
    let (seconds, last) = (start.elapsed().as_secs_f64(), counted()?);
    Ok((last.saturating_sub(first) as f64 / seconds, seconds))
}

/// Frames counted since `before`, once stragglers have arrived.
fn settle<E>(
    before: u64,
    sent: u64,
    counted: &mut impl FnMut() -> Result<u64, E>,
) -> Result<u64, E> {
    const PATIENCE: Duration = Duration::from_millis(200);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let so_far = counted()?.saturating_sub(before);
        if so_far >= sent || Instant::now() >= deadline {
            return Ok(so_far);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
