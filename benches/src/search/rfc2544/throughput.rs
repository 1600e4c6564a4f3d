//! Throughput (RFC 2544 section 26.1): the highest load of which nothing is lost.
//!
//! The document gives no rule for the search. Here: halving, on a logarithmic scale, between the
//! largest load and a thousandth of it, by short trials as section 24 allows; then the load found is
//! confirmed by a trial of full length, and where it is not, the search goes on below it.

use serde::{Deserialize, Serialize};

use crate::report::Search;
use crate::search::progress::Bounds;
use crate::search::run::{Ended, Found, Searching};
use crate::search::turn::Turn;
use crate::search::{finding, limits};
use crate::stats::Summary;
use crate::trial::{Finding, Order};

/// The smallest load tried, as a part of the largest.
const LEAST: f64 = 0.001;

/// How the throughput is searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throughput {
    /// Largest load to try, in frames per second: what the medium can carry. `None` is as much as the
    /// generator offers in a trial at full speed.
    pub max_load: Option<f64>,
    /// The search ends when bounds are apart by at most this part of the upper one.
    pub width: f64,
    /// Length of a trial while searching, in seconds.
    pub seconds: f64,
    /// Length of the trial that confirms the result, in seconds; section 24 wants 60.
    pub final_seconds: f64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { max_load: None, width: 0.005, seconds: 1.0, final_seconds: 60.0 }
    }
}

impl Throughput {
    pub(in crate::search) const fn start(self) -> Run {
        Run {
            procedure: self,
            max_load: 0.0,
            rates: Vec::new(),
            basis: Vec::new(),
            failed: 0,
            findings: Vec::new(),
        }
    }

    /// One search: the load found, with the trial that confirmed it, and the largest load that was
    /// allowed. `None` when the smallest is too much.
    pub(super) fn search(&self, turn: &mut Turn<'_>) -> Result<Searched, Ended> {
        let max_load = limits::max_load(self.max_load, turn, self.seconds)?;
        let least = max_load * LEAST;
        // Loads that passed a short trial, ascending; and the smallest that failed any.
        let (mut passed, mut upper): (Vec<f64>, Option<f64>) = (Vec::new(), None);
        let mut unoffered = false;
        loop {
            let lower = passed.last().copied();
            let bounds = Bounds { goal: "throughput".to_owned(), lower, upper };
            turn.know(vec![bounds]);
            let (load, seconds) = match (lower, upper) {
                (None, None) => (max_load, self.seconds),
                (None, Some(upper)) if upper <= least => {
                    return Ok(Searched { max_load, found: None, unoffered });
                }
                (Some(lower), None) => (lower, self.final_seconds),
                (Some(lower), Some(upper)) if upper - lower <= upper * self.width => {
                    (lower, self.final_seconds)
                }
                (lower, Some(upper)) => {
                    let middle = (lower.unwrap_or(least) * upper).sqrt().floor();
                    // Neighbours of a very low load: nothing lies between them.
                    let spent = lower.map_or(middle <= least, |l| middle <= l || middle >= upper);
                    match lower {
                        Some(lower) if spent => (lower, self.final_seconds),
                        None if spent => (least, self.seconds),
                        _ => (middle, self.seconds),
                    }
                }
            };
            let confirms = Some(load) == lower;
            let taken = turn.trial(Order { load: Some(load), seconds })?;
            match (taken.judged.within(0.0), confirms) {
                (true, true) => {
                    let found = Some((load, taken.index));
                    return Ok(Searched { max_load, found, unoffered });
                }
                (true, false) => passed.push(load),
                (false, _) => {
                    passed.retain(|passed| *passed < load);
                    upper = Some(load);
                    unoffered = !taken.judged.offered;
                }
            }
        }
    }
}

/// What one search gave.
pub(super) struct Searched {
    pub max_load: f64,
    /// The load, and the place of the trial that confirmed it.
    pub found: Option<(f64, usize)>,
    /// Whether the smallest load that failed was never offered.
    pub unoffered: bool,
}

/// The searches on one bench.
pub(in crate::search) struct Run {
    procedure: Throughput,
    max_load: f64,
    rates: Vec<f64>,
    basis: Vec<usize>,
    failed: usize,
    findings: Vec<Finding>,
}

impl Searching for Run {
    fn warm_up(&self) -> Option<f64> {
        self.procedure.max_load
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let searched = self.procedure.search(turn)?;
        self.max_load = self.max_load.max(searched.max_load);
        match searched.found {
            Some((load, index)) => {
                self.rates.push(load);
                self.basis.push(index);
            }
            None => self.failed += 1,
        }
        if searched.unoffered {
            finding::add(&mut self.findings, finding::generator_limit(searched.max_load));
        }
        Ok(())
    }

    fn found(mut self: Box<Self>) -> Found {
        let Throughput { width, final_seconds: seconds, .. } = self.procedure;
        if self.failed > 0 {
            let runs = self.failed + self.rates.len();
            self.findings.push(finding::no_lower_bound("throughput", self.failed, runs));
        }
        if seconds < 60.0 {
            self.findings.push(finding::short_trials(seconds, 60.0, "RFC 2544 section 24"));
        }
        let load = Summary::of(&self.rates);
        let search = Search::Throughput { max_load: self.max_load, width, seconds, load };
        Found { search, rates: self.rates, basis: self.basis, findings: self.findings }
    }
}
