//! Back-to-back frames (RFC 2544 section 26.4, replaced by RFC 9004): the longest burst at full rate of
//! which nothing is lost, and from it the time that the device can store.

use serde::{Deserialize, Serialize};

use super::Throughput;
use crate::report::{self, Search, Spread};
use crate::search::progress::Bounds;
use crate::search::run::{Ended, Found, Searching};
use crate::search::turn::Turn;
use crate::search::{finding, limits};
use crate::stats::{Summary, mean_and_deviation};
use crate::trial::{Finding, Order};

/// Tests that RFC 9004 section 6.3 wants at least.
const LEAST_TESTS: usize = 50;

/// What of its full speed a generator holds in every burst.
const HELD: f64 = 0.95;

/// How bursts are searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackToBack {
    /// Rate within a burst, in frames per second: the most that the medium carries. `None` is 95 % of
    /// what the generator offers in a trial at full speed, so that every burst is of the same rate.
    pub rate: Option<f64>,
    /// Throughput, in frames per second; `None` has it searched first.
    pub throughput: Option<f64>,
    /// How it is searched.
    pub search: Throughput,
    /// Tests of each repeat; every one is a search of its own.
    pub tests: usize,
    /// Longest burst, in seconds; RFC 2544 section 26.4 wants two at least.
    pub longest: f64,
    /// A test ends when bounds are apart by at most this part of the upper one.
    pub width: f64,
    /// How often a burst that lost frames is sent again before it counts as too long (binary search
    /// with loss verification, RFC 9004 section 6.2).
    pub verify: usize,
}

impl Default for BackToBack {
    fn default() -> Self {
        Self {
            rate: None,
            throughput: None,
            search: Throughput::default(),
            tests: LEAST_TESTS,
            longest: 2.0,
            width: 0.01,
            verify: 1,
        }
    }
}

impl BackToBack {
    pub(in crate::search) const fn start(self) -> Run {
        Run {
            procedure: self,
            rate: 0.0,
            throughputs: Vec::new(),
            bursts: Vec::new(),
            failed: 0,
            basis: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Whether a burst came through; gives the place of the trial that says so.
    fn burst(&self, turn: &mut Turn<'_>, rate: f64, frames: f64) -> Result<Option<usize>, Ended> {
        for _ in 0..=self.verify {
            let taken = turn.trial(Order { load: Some(rate), seconds: frames / rate })?;
            // What was never sent makes a burst shorter; it is not lost in the device.
            let lost = taken.trial.received < taken.trial.generated;
            if !lost && taken.judged.offered {
                return Ok(Some(taken.index));
            }
        }
        Ok(None)
    }

    /// One test: frames of the longest burst without loss, and its trial. `None` when a single frame is
    /// lost already.
    fn test(&self, turn: &mut Turn<'_>, rate: f64) -> Result<Option<(f64, usize)>, Ended> {
        let (mut found, mut upper) = (None, (rate * self.longest).floor().max(1.0));
        match self.burst(turn, rate, upper)? {
            Some(index) => return Ok(Some((upper, index))),
            None if upper <= 1.0 => return Ok(None),
            None => {}
        }
        loop {
            let lower = found.map_or(0.0, |(frames, _): (f64, usize)| frames);
            turn.know(vec![Bounds {
                goal: "frames of a burst".to_owned(),
                lower: found.map(|(frames, _)| frames),
                upper: Some(upper),
            }]);
            if upper - lower <= (upper * self.width).max(1.0) {
                return Ok(found);
            }
            let middle = (lower.max(1.0) * upper).sqrt().floor().max(lower + 1.0);
            match self.burst(turn, rate, middle)? {
                Some(index) => found = Some((middle, index)),
                None => upper = middle,
            }
        }
    }
}

/// The tests on one bench.
pub(in crate::search) struct Run {
    procedure: BackToBack,
    rate: f64,
    throughputs: Vec<f64>,
    bursts: Vec<f64>,
    failed: usize,
    basis: Vec<usize>,
    findings: Vec<Finding>,
}

impl Searching for Run {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let procedure = self.procedure;
        let rate = limits::max_load(procedure.rate, turn, procedure.search.seconds)?;
        let rate = if procedure.rate.is_some() { rate } else { (rate * HELD).floor() };
        self.rate = self.rate.max(rate);
        let throughput = match procedure.throughput {
            Some(load) => load,
            None => {
                let search = Throughput { max_load: Some(rate), ..procedure.search };
                search.search(turn)?.found.map_or(0.0, |(load, _)| load)
            }
        };
        self.throughputs.push(throughput);
        if throughput >= rate * (1.0 - procedure.search.width) {
            finding::add(&mut self.findings, finding::no_burst_limit(throughput, rate));
            return Ok(());
        }
        for _ in 0..procedure.tests {
            match procedure.test(turn, rate)? {
                Some((frames, index)) => {
                    self.bursts.push(frames);
                    self.basis.push(index);
                    if frames >= (rate * procedure.longest).floor() {
                        let finding = finding::burst_not_exhausted(procedure.longest);
                        finding::add(&mut self.findings, finding);
                    }
                }
                None => self.failed += 1,
            }
        }
        Ok(())
    }

    fn found(mut self: Box<Self>) -> Found {
        let tests = self.bursts.len() + self.failed;
        if self.failed > 0 {
            self.findings.push(finding::no_lower_bound("back-to-back", self.failed, tests));
        }
        if (1..LEAST_TESTS).contains(&tests) {
            let few = finding::few_tests(tests, LEAST_TESTS, "RFC 9004 section 6.3");
            self.findings.push(few);
        }
        let throughput = Summary::of(&self.throughputs).map_or(0.0, |loads| loads.median);
        let frames = mean_and_deviation(&self.bursts).zip(Summary::of(&self.bursts));
        let frames = frames.map(|((mean, stdev), all)| Spread {
            mean,
            min: all.min,
            max: all.max,
            stdev,
            runs: all.runs,
        });
        let rates = self.throughputs;
        if self.rate <= 0.0 {
            let basis = self.basis;
            return Found { search: Search::None, rates, basis, findings: self.findings };
        }
        let implied_seconds = frames.map_or(0.0, |frames| frames.mean / self.rate);
        let search = Search::BackToBack(report::BackToBack {
            rate: self.rate,
            throughput,
            frames,
            implied_seconds,
            corrected_seconds: implied_seconds * (1.0 - throughput / self.rate),
        });
        Found { search, rates, basis: self.basis, findings: self.findings }
    }
}
