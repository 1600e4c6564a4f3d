//! Multiple loss ratio search (RFC 9971): for each goal the largest load that meets it, from many short
//! trials instead of a few long ones.
//!
//! Loads are sums over all generators, and the Trial Effective Duration is the Trial Duration.

use serde::{Deserialize, Serialize};

use crate::report::{Goal, GoalFound, Search};
use crate::search::run::{Ended, Found, Searching};
use crate::search::turn::Turn;
use crate::search::{finding, limits};
use crate::stats::Summary;
use crate::trial::Finding;

mod bounds;
pub mod classify;
mod controller;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use bounds::Relevant;
use controller::Controller;

/// A generator that misses its schedule below this part of its full speed was kept from it.
const MISSED: f64 = 0.8;

/// What is searched, and within which limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mlr {
    /// The goals. The rate of a result is that of the first one that every repeat met.
    pub goals: Vec<Goal>,
    /// Smallest load allowed, in frames per second; `None` is a thousandth of the largest.
    pub min_load: Option<f64>,
    /// Largest load allowed; `None` is as much as the generator offers in a trial at full speed.
    pub max_load: Option<f64>,
    /// Most seconds of traffic of one search. What is not decided then stays undecided.
    pub limit: f64,
}

impl Default for Mlr {
    /// NDR and PDR within 45 seconds.
    fn default() -> Self {
        let goals = vec![Goal::ndr(), Goal::pdr()];
        Self { goals, min_load: None, max_load: None, limit: 45.0 }
    }
}

impl Mlr {
    pub(super) fn start(&self) -> Run {
        let results = self.goals.iter().map(|_| Results::default()).collect();
        Run {
            procedure: self.clone(),
            min_load: 0.0,
            max_load: 0.0,
            results,
            seconds: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// What the repeats gave for one goal.
#[derive(Default)]
struct Results {
    lower: Vec<f64>,
    upper: Vec<f64>,
    throughput: Vec<f64>,
    basis: Vec<usize>,
    no_lower: usize,
    no_upper: usize,
    unfinished: usize,
}

/// The searches on one bench.
pub(super) struct Run {
    procedure: Mlr,
    min_load: f64,
    max_load: f64,
    results: Vec<Results>,
    seconds: Vec<f64>,
    findings: Vec<Finding>,
}

impl Run {
    fn take(&mut self, controller: &Controller<'_>) {
        for (goal, results) in self.results.iter_mut().enumerate() {
            let target = controller.last(goal);
            let Relevant { lower, upper } = controller.trials.relevant(&target);
            match lower {
                Some(load) => {
                    results.lower.push(load as f64);
                    results.throughput.extend(controller.trials.throughput(load, &target));
                    results.basis.extend(controller.trials.places(load));
                }
                None if upper == Some(controller.min_load) => results.no_lower += 1,
                None => {}
            }
            match upper {
                Some(load) => {
                    results.upper.push(load as f64);
                    // Where nothing was lost and the load still failed, the generator was the limit.
                    let trials = controller.trials.at(load);
                    let failed = trials.iter().filter(|trial| !target.low_loss(trial));
                    let (all, unoffered) = failed.fold((0, 0), |(all, unoffered), trial| {
                        (all + 1, unoffered + usize::from(!trial.offered))
                    });
                    if unoffered * 2 > all {
                        let (load, full) = (load as f64, controller.full);
                        let finding = if load < full * MISSED {
                            finding::generator_interrupted(load, full)
                        } else {
                            finding::generator_limit(load)
                        };
                        finding::add(&mut self.findings, finding);
                    }
                }
                None if lower == Some(controller.max_load) => results.no_upper += 1,
                None => {}
            }
            results.unfinished += usize::from(!controller.met(&target));
        }
        self.seconds.push(controller.seconds());
    }
}

impl Searching for Run {
    fn warm_up(&self) -> Option<f64> {
        self.procedure.max_load
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let Mlr { goals, min_load, max_load, limit } = self.procedure.clone();
        let seconds = goals.iter().map(|goal| goal.final_trial_seconds).fold(0.0, f64::max);
        let max_load = limits::max_load(max_load, turn, seconds)?;
        let min_load = min_load.unwrap_or(max_load / 1000.0).clamp(1.0, max_load).ceil();
        self.max_load = self.max_load.max(max_load);
        self.min_load = if self.min_load > 0.0 { self.min_load.min(min_load) } else { min_load };
        let mut controller = Controller::new(&goals, min_load as u64, max_load as u64, limit);
        let ended = controller.search(turn);
        // A search that was cut short has bounds too, wider ones; but no result.
        if ended.is_ok() {
            self.take(&controller);
        }
        ended
    }

    fn found(mut self: Box<Self>) -> Found {
        let repeats = self.seconds.len();
        for (goal, results) in self.procedure.goals.iter().zip(&self.results) {
            if results.no_lower > 0 {
                let finding = finding::no_lower_bound(&goal.name, results.no_lower, repeats);
                self.findings.push(finding);
            }
            if results.no_upper > 0 && self.procedure.max_load.is_some() {
                let finding = finding::no_upper_bound(&goal.name, results.no_upper, repeats);
                self.findings.push(finding);
            } else if results.no_upper > 0 {
                // The largest load was the generator's own full speed.
                finding::add(&mut self.findings, finding::generator_limit(self.max_load));
            }
            if results.unfinished > 0 {
                let limit = self.procedure.limit;
                let finding = finding::unfinished(&goal.name, results.unfinished, repeats, limit);
                self.findings.push(finding);
            }
        }
        let met = |results: &&Results| results.no_lower == 0 && !results.throughput.is_empty();
        let some = |results: &&Results| !results.throughput.is_empty();
        let rate = self.results.iter().find(met).or_else(|| self.results.iter().find(some));
        let (rates, basis) = rate.map_or_else(Default::default, |results| {
            (results.throughput.clone(), results.basis.clone())
        });
        let goals = self.procedure.goals.into_iter().zip(&self.results);
        let goals = goals.map(|(goal, results)| GoalFound {
            goal,
            lower: Summary::of(&results.lower),
            upper: Summary::of(&results.upper),
            throughput: Summary::of(&results.throughput),
            no_upper: results.no_upper,
            no_lower: results.no_lower,
            unfinished: results.unfinished,
        });
        let search = if self.max_load <= 0.0 {
            Search::None
        } else {
            Search::Mlr {
                min_load: self.min_load,
                max_load: self.max_load,
                goals: goals.collect(),
                trial_seconds: Summary::of(&self.seconds),
            }
        };
        Found { search, rates, basis, findings: self.findings }
    }
}
