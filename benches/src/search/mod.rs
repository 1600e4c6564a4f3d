//! Searches: which load a device can take. Each is a procedure over trials and knows nothing of
//! packets, so that it can be held against a simulated device.
//!
//! [`run`] carries out a [`Procedure`] on one or several benches by the [`Rules`] of a valid trial:
//! warm-up and settling, turns of all benches one after the other, rejected trials repeated and
//! counted. Whatever ends it early, what was measured stays in the [`Outcome`].

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::trial::{Order, Trial};

mod finding;
mod limits;
mod maximum;
pub mod mlr;
mod progress;
mod rfc2544;
mod rules;
mod run;
pub mod simulated;
mod soak;
#[cfg(test)]
mod tests;
mod turn;

pub use maximum::Maximum;
pub use mlr::Mlr;
pub use progress::{Bounds, Phase, Progress};
pub use rfc2544::{BackToBack, FrameLoss, Latency, Throughput};
pub use rules::{Judged, Rules};
pub use run::{Ended, Outcome, Procedure, run};
pub use soak::Soak;

/// Whatever can carry out trials: a veth, a NIC, a simulation.
pub trait Bench {
    /// Carries out one trial. An invalid one is a value too: the search decides whether to repeat it,
    /// and counts it.
    ///
    /// # Errors
    /// See [`Halt`].
    fn trial(&mut self, order: Order) -> Result<Trial, Halt>;

    /// Makes ready for the trials of one turn: attaches the program, where several benches share a
    /// device.
    ///
    /// # Errors
    /// See [`Halt`].
    fn begin(&mut self) -> Result<(), Halt> {
        Ok(())
    }

    /// Ends a turn: undoes what [`Bench::begin`] did, so that the next bench can have the device.
    ///
    /// # Errors
    /// See [`Halt`].
    fn end(&mut self) -> Result<(), Halt> {
        Ok(())
    }

    /// Lets time pass without traffic.
    ///
    /// # Errors
    /// [`Halt::Stopped`], when the user asked to stop meanwhile.
    fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        std::thread::sleep(time);
        Ok(())
    }

    /// Time since some fixed moment, by the clock by which trials take their time.
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// Why no more trials can be had.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The user asked to stop (Ctrl-C). What was measured stays.
    #[error("stopped on request")]
    Stopped,
    /// Something failed for good: the device is gone, permission is missing.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}
