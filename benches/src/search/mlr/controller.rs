//! Which load is tried next, and when it is enough.
//!
//! RFC 9971 leaves this to the implementation. Here every goal has intermediate targets, of smaller
//! duration sums and larger widths. All goals meet their first targets, then all their second ones,
//! and so on: the bounds of a coarse target, and those that the other goals found, are where the next
//! one starts. Every trial counts for every target, so nothing is measured twice.

use super::bounds::{Relevant, Trials};
use super::classify::{Class, Observed, Target};
use crate::report::Goal;
use crate::search::progress::Bounds;
use crate::search::run::Ended;
use crate::search::turn::Turn;
use crate::trial::Order;

/// One search for the results of several goals.
pub(super) struct Controller<'a> {
    pub goals: &'a [Goal],
    /// The targets of each goal.
    chains: Vec<Vec<Target>>,
    pub min_load: u64,
    pub max_load: u64,
    /// Most seconds of traffic.
    limit: f64,
    pub trials: Trials,
    /// Loads worth trying first.
    hints: Vec<u64>,
    /// Whether the traffic allowed was used up.
    pub unfinished: bool,
    /// The most that the generator offered, in frames per second.
    pub full: f64,
}

impl<'a> Controller<'a> {
    pub(super) fn new(goals: &'a [Goal], min_load: u64, max_load: u64, limit: f64) -> Self {
        let chains = goals.iter().map(Target::chain).collect();
        let (trials, hints, full) = (Trials::default(), Vec::new(), 0.0);
        Self { goals, chains, min_load, max_load, limit, trials, hints, unfinished: false, full }
    }

    /// Seconds of traffic so far.
    pub(super) fn seconds(&self) -> f64 {
        self.trials.seconds()
    }

    /// The final target of a goal.
    pub(super) fn last(&self, goal: usize) -> Target {
        Target::last(&self.goals[goal])
    }

    /// Searches until every goal has its bounds.
    pub(super) fn search(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.first(turn)?;
        let depth = self.chains.iter().map(Vec::len).max().unwrap_or_default();
        for level in 0..depth {
            for goal in 0..self.goals.len() {
                if let Some(target) = self.chains[goal].get(level).copied() {
                    self.meet(&target, turn)?;
                }
            }
        }
        // Trials for one goal may have moved the bounds of another.
        while !self.unfinished {
            let before = self.seconds();
            for goal in 0..self.goals.len() {
                self.meet(&self.last(goal), turn)?;
            }
            if self.seconds() <= before {
                break;
            }
        }
        Ok(())
    }

    /// A trial at the largest load: what comes through of it is where the search starts.
    fn first(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let seconds = self.chains.iter().flatten().map(|target| target.seconds).fold(0.0, f64::max);
        if seconds <= 0.0 {
            return Ok(());
        }
        let (rate, _) = self.measure(self.max_load, seconds, turn)?;
        let rate = (rate.floor() as u64).clamp(self.min_load, self.max_load);
        self.hints = vec![rate];
        if rate < self.max_load {
            // An overloaded device may forward less than it could: what comes through of what came
            // through is nearer to the result.
            let (again, _) = self.measure(rate, seconds, turn)?;
            self.hints.insert(0, (again.floor() as u64).clamp(self.min_load, self.max_load));
        }
        Ok(())
    }

    /// One trial: frames per second that came through, and what the search goes by.
    fn measure(
        &mut self,
        load: u64,
        seconds: f64,
        turn: &mut Turn<'_>,
    ) -> Result<(f64, Observed), Ended> {
        let taken = turn.trial(Order { load: Some(load as f64), seconds })?;
        let loss_ratio = taken.judged.loss_ratio;
        let observed = Observed { seconds, loss_ratio, offered: taken.judged.offered };
        self.trials.add(load, observed, taken.index);
        self.full = self.full.max(taken.trial.offered());
        turn.know(self.known());
        Ok((load as f64 * (1.0 - loss_ratio), observed))
    }

    /// What is known about each goal.
    fn known(&self) -> Vec<Bounds> {
        let known = |goal: &Goal| {
            let Relevant { lower, upper } = self.trials.relevant(&Target::last(goal));
            let load = |load: u64| load as f64;
            Bounds { goal: goal.name.clone(), lower: lower.map(load), upper: upper.map(load) }
        };
        self.goals.iter().map(known).collect()
    }

    /// Tries loads until the bounds of one target are close enough.
    fn meet(&mut self, target: &Target, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let mut stride = target.width;
        while let Some(load) = self.next(target, &mut stride) {
            while self.trials.class(load, target) == Class::Undecided {
                if self.seconds() + target.seconds > self.limit {
                    self.unfinished = true;
                    return Ok(());
                }
                self.measure(load, target.seconds, turn)?;
            }
        }
        let Relevant { lower, upper } = self.trials.relevant(target);
        self.hints.splice(0..0, lower.into_iter().chain(upper));
        self.hints.truncate(4);
        Ok(())
    }

    /// Whether nothing is left to do for a target.
    pub(super) fn met(&self, target: &Target) -> bool {
        self.next(target, &mut target.width.clone()).is_none()
    }

    /// The load to classify next; `None` when the target is met. `stride` grows while one of the
    /// bounds is missing.
    fn next(&self, target: &Target, stride: &mut f64) -> Option<u64> {
        let relevant = self.trials.relevant(target);
        let Relevant { lower, upper } = relevant;
        let between = |load: u64| {
            lower.is_none_or(|lower| load > lower) && upper.is_none_or(|upper| load < upper)
        };
        if let (Some(lower), Some(upper)) = (lower, upper)
            && (upper - lower) as f64 <= upper as f64 * target.width + 1.0
        {
            return None;
        }
        let hint =
            self.hints.iter().copied().find(|load| {
                between(*load) && self.trials.class(*load, target) == Class::Undecided
            });
        if hint.is_some() {
            return hint;
        }
        let mut widen = || {
            let now = *stride;
            *stride = 1.0 - (1.0 - *stride).powi(2);
            1.0 - now
        };
        let load = match (lower, upper) {
            (Some(lower), _) if lower >= self.max_load => return None,
            (_, Some(upper)) if upper <= self.min_load => return None,
            (None, None) => self.max_load,
            (Some(lower), None) => ((lower as f64 / widen()).ceil() as u64).max(lower + 1),
            (None, Some(upper)) => ((upper as f64 * widen()).floor() as u64).min(upper - 1),
            (Some(lower), Some(upper)) => {
                let middle = (lower as f64 * upper as f64).sqrt().round() as u64;
                middle.clamp(lower + 1, upper - 1)
            }
        };
        Some(load.clamp(self.min_load, self.max_load))
    }
}
