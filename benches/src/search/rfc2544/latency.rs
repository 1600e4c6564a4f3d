//! Latency (RFC 2544 section 26.2) at the throughput, or at a load of the user's.
//!
//! The document times one tagged frame a trial. Here every frame carries its stamps, so each trial
//! gives percentiles; they are put together as RFC 8219 section 7 does: typical latency (median),
//! worst case latency (99.9th percentile), delay variation (that less the least).

use serde::{Deserialize, Serialize};

use super::Throughput;
use crate::report::Search;
use crate::search::finding;
use crate::search::run::{Ended, Found, Searching};
use crate::search::turn::Turn;
use crate::trial::{Finding, Order, Percentiles};

/// Trials that section 26.2 wants at least.
const LEAST_TRIALS: usize = 20;

/// How latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Frames per second; `None` is the throughput, which then is searched first.
    pub load: Option<f64>,
    /// How it is searched.
    pub throughput: Throughput,
    /// Trials of each repeat.
    pub trials: usize,
    /// Length of a trial in seconds; section 26.2 wants 120.
    pub seconds: f64,
}

impl Default for Latency {
    fn default() -> Self {
        let throughput = Throughput::default();
        Self { load: None, throughput, trials: LEAST_TRIALS, seconds: 120.0 }
    }
}

impl Latency {
    pub(in crate::search) const fn start(self) -> Run {
        Run {
            procedure: self,
            load: 0.0,
            rates: Vec::new(),
            basis: Vec::new(),
            seen: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// The trials on one bench.
pub(in crate::search) struct Run {
    procedure: Latency,
    load: f64,
    rates: Vec<f64>,
    basis: Vec<usize>,
    seen: Vec<Percentiles>,
    findings: Vec<Finding>,
}

impl Searching for Run {
    fn warm_up(&self) -> Option<f64> {
        self.procedure.load
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let Latency { load, throughput, trials, seconds } = self.procedure;
        let found = match load {
            Some(load) => Some(load),
            None => throughput.search(turn)?.found.map(|(load, _)| load),
        };
        let Some(load) = found else {
            finding::add(&mut self.findings, finding::no_lower_bound("throughput", 1, 1));
            return Ok(());
        };
        self.load = load;
        for _ in 0..trials {
            let taken = turn.trial(Order { load: Some(load), seconds })?;
            self.rates.push(taken.trial.pps());
            self.basis.push(taken.index);
            match taken.trial.latency {
                Some(latency) => {
                    self.seen.push(latency.from_intended.unwrap_or(latency.from_sent));
                }
                None => finding::add(&mut self.findings, finding::no_latency()),
            }
        }
        Ok(())
    }

    fn found(mut self: Box<Self>) -> Found {
        let Latency { seconds, .. } = self.procedure;
        let trials = self.seen.len();
        if (1..LEAST_TRIALS).contains(&trials) {
            let few = finding::few_tests(trials, LEAST_TRIALS, "RFC 2544 section 26.2");
            self.findings.push(few);
        }
        if seconds < 120.0 {
            self.findings.push(finding::short_trials(seconds, 120.0, "RFC 2544 section 26.2"));
        }
        let mean = |of: fn(&Percentiles) -> u64| {
            self.seen.iter().map(|seen| of(seen) as f64).sum::<f64>() / trials as f64
        };
        let search = if trials == 0 {
            Search::None
        } else {
            Search::Latency {
                load: self.load,
                trials,
                typical: mean(|seen| seen.p50),
                worst_case: mean(|seen| seen.p99_9),
                delay_variation: mean(|seen| seen.p99_9.saturating_sub(seen.min)),
            }
        };
        Found { search, rates: self.rates, basis: self.basis, findings: self.findings }
    }
}
