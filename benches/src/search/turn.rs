//! One bench's turn: its trials, by the rules.

use super::progress::{Bounds, Phase, Progress};
use super::rules::{Judged, Rules};
use super::run::Ended;
use super::{Bench, Halt};
use crate::trial::{Order, Trial};

/// What was measured on one bench, in all its turns.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every trial but those that warm up, rejected ones included.
    pub trials: Vec<Trial>,
    /// How many of them were rejected.
    pub rejected: usize,
}

/// A trial that counts.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its place in [`Log::trials`].
    pub index: usize,
    pub trial: Trial,
    pub judged: Judged,
}

/// Where a turn stands among all turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub bench: usize,
    pub benches: usize,
    pub repeat: usize,
    pub repeats: usize,
    /// Seconds that earlier turns took, together.
    pub before: f64,
    /// Turns that are done.
    pub done: usize,
}

/// Whoever watches.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&Progress<'_>);

/// One turn.
pub(super) struct Turn<'a> {
    bench: &'a mut dyn Bench,
    rules: &'a Rules,
    observer: Observer<'a>,
    log: &'a mut Log,
    place: Place,
    /// The bench's clock when the turn began.
    began: f64,
    bounds: Vec<Bounds>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        bench: &'a mut dyn Bench,
        rules: &'a Rules,
        observer: Observer<'a>,
        log: &'a mut Log,
        place: Place,
    ) -> Self {
        let began = bench.now().as_secs_f64();
        Self { bench, rules, observer, log, place, began, bounds: Vec::new() }
    }

    /// Seconds that the turn took so far.
    pub(super) fn taken(&self) -> f64 {
        self.bench.now().as_secs_f64() - self.began
    }

    /// Says what is known about each goal.
    pub(super) fn know(&mut self, bounds: Vec<Bounds>) {
        self.bounds = bounds;
    }

    /// Makes the bench ready, and carries out the trial that is discarded. `load` as in [`Order`].
    pub(super) fn begin(&mut self, load: Option<f64>) -> Result<(), Ended> {
        self.bench.begin()?;
        if self.rules.warm_up > 0.0 {
            let order = Order { load, seconds: self.rules.warm_up };
            self.afford(&order)?;
            self.tell(Phase::WarmUp(order));
            self.bench.trial(order)?;
        }
        Ok(())
    }

    /// Gives the device back.
    pub(super) fn end(&mut self) -> Result<(), Ended> {
        Ok(self.bench.end()?)
    }

    /// A trial that counts: the first of at most [`Rules::retries`] more that is valid.
    pub(super) fn trial(&mut self, order: Order) -> Result<Taken, Ended> {
        for _ in 0..=self.rules.retries {
            self.afford(&order)?;
            self.bench.pause(self.rules.settling())?;
            self.tell(Phase::Trial(order));
            let trial = self.bench.trial(order)?;
            let accepted = trial.valid();
            self.tell(Phase::Done { trial: &trial, accepted });
            let index = self.log.trials.len();
            self.log.trials.push(trial.clone());
            if accepted {
                let judged = self.rules.judge(&trial);
                return Ok(Taken { index, trial, judged });
            }
            self.log.rejected += 1;
        }
        Err(Ended::Rejected)
    }

    /// Refuses a trial for which no time is left.
    fn afford(&self, order: &Order) -> Result<(), Ended> {
        let needed = self.place.before + self.taken() + order.seconds;
        match self.rules.budget {
            Some(budget) if needed > budget => Err(Ended::OutOfTime),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, phase: Phase<'_>) {
        let Place { bench, benches, repeat, repeats, before, done } = self.place;
        let elapsed = before + self.taken();
        let by_turns = (done > 0).then(|| {
            let each = before / done as f64;
            (each * (benches * repeats - done) as f64 - self.taken()).max(0.0)
        });
        let by_budget = self.rules.budget.map(|budget| (budget - elapsed).max(0.0));
        let left = match (by_turns, by_budget) {
            (Some(turns), Some(budget)) => Some(turns.min(budget)),
            (either, or) => either.or(or),
        };
        let bounds = &self.bounds;
        (self.observer)(&Progress {
            bench,
            benches,
            repeat,
            repeats,
            phase,
            bounds,
            elapsed,
            left,
        });
    }
}

impl From<Halt> for Ended {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped => Self::Stopped,
            Halt::Failed(error) => Self::Failed(error.to_string()),
        }
    }
}
