//! Frame loss rate (RFC 2544 section 26.3): trials at 100 %, 90 %, 80 % ... of the largest load, until
//! two in succession lose nothing.

use serde::{Deserialize, Serialize};

use crate::report::{LossStep, Search};
use crate::search::progress::Bounds;
use crate::search::run::{Ended, Found, Searching};
use crate::search::turn::Turn;
use crate::search::{finding, limits};
use crate::stats::Summary;
use crate::trial::{Finding, Order};

/// How the loss curve is taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameLoss {
    /// The load called 100 %, in frames per second; `None` is as much as the generator offers in a
    /// trial at full speed of the first repeat.
    pub max_load: Option<f64>,
    /// By how much of it the load falls from trial to trial: 0.1 or finer.
    pub step: f64,
    /// Length of a trial in seconds; section 24 wants 60.
    pub seconds: f64,
}

impl Default for FrameLoss {
    fn default() -> Self {
        Self { max_load: None, step: 0.1, seconds: 60.0 }
    }
}

impl FrameLoss {
    pub(in crate::search) const fn start(self) -> Run {
        Run {
            procedure: self,
            max_load: None,
            steps: Vec::new(),
            rates: Vec::new(),
            basis: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// The curves of one bench.
pub(in crate::search) struct Run {
    procedure: FrameLoss,
    max_load: Option<f64>,
    /// Loss ratios at each load, over the repeats.
    steps: Vec<(f64, f64, Vec<f64>)>,
    rates: Vec<f64>,
    basis: Vec<usize>,
    findings: Vec<Finding>,
}

impl Searching for Run {
    fn warm_up(&self) -> Option<f64> {
        self.max_load.or(self.procedure.max_load)
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let FrameLoss { max_load, step, seconds } = self.procedure;
        let max_load = limits::max_load(self.max_load.or(max_load), turn, seconds)?;
        self.max_load = Some(max_load);
        let step = step.clamp(0.001, 1.0);
        let (mut clean, mut best) = (0, None);
        for number in 0.. {
            let part = step.mul_add(-f64::from(number), 1.0);
            if part < step / 2.0 || clean == 2 {
                break;
            }
            let load = (max_load * part).floor().max(1.0);
            let taken = turn.trial(Order { load: Some(load), seconds })?;
            if best.is_none_or(|(rate, _)| taken.trial.pps() > rate) {
                best = Some((taken.trial.pps(), taken.index));
            }
            clean = if taken.judged.within(0.0) { clean + 1 } else { 0 };
            let at = number as usize;
            if self.steps.len() == at {
                self.steps.push((part, load, Vec::new()));
            }
            self.steps[at].2.push(taken.judged.loss_ratio);
            if !taken.judged.offered {
                finding::add(&mut self.findings, finding::generator_limit(load));
            }
            let lower = (clean > 0).then_some(load);
            turn.know(vec![Bounds { goal: "no loss".to_owned(), lower, upper: None }]);
        }
        if let Some((rate, index)) = best {
            self.rates.push(rate);
            self.basis.push(index);
        }
        Ok(())
    }

    fn found(mut self: Box<Self>) -> Found {
        let FrameLoss { seconds, .. } = self.procedure;
        if seconds < 60.0 {
            self.findings.push(finding::short_trials(seconds, 60.0, "RFC 2544 section 24"));
        }
        let steps: Vec<LossStep> = self
            .steps
            .iter()
            .filter_map(|(part, load, losses)| {
                let loss_ratio = Summary::of(losses)?;
                Some(LossStep { part: *part, load: *load, loss_ratio })
            })
            .collect();
        let search = match self.max_load {
            Some(max_load) if !steps.is_empty() => Search::FrameLoss { max_load, steps },
            _ => Search::None,
        };
        Found { search, rates: self.rates, basis: self.basis, findings: self.findings }
    }
}
