//! One report against another, cell by cell: faster, slower, the same, or not to be compared.
//!
//! A change is told from noise by ranks (`rank`): at 99 % confidence with five repeats each, every
//! repeat of one side must be below every one of the other. And it must matter: medians drift by a few
//! per cent from day to day on one machine, so a smaller change is no finding however steady.

use serde::{Deserialize, Serialize};

use super::{Environment, Measurement, Report, Search};
use crate::search::Ended;
use crate::stats::Summary;
use crate::trial::Severity;

mod differences;
mod rank;
#[cfg(test)]
mod tests;
mod words;

/// The value of [`Comparison::schema`].
pub const SCHEMA: &str = "hoist.bench-compare.v1";

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Chance that an interval holds the true ratio, of each cell by itself.
    pub confidence: f64,
    /// Least change that matters, as a part of the rate before.
    pub least_effect: f64,
    /// Compares in spite of other machines, kernels or settings: they are what is asked about.
    pub across: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { confidence: 0.99, least_effect: 0.05, across: false }
    }
}

/// One report against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// Circumstances of the first report.
    pub before: Environment,
    /// Circumstances of the second.
    pub after: Environment,
    /// As in [`Options`].
    pub confidence: f64,
    /// As in [`Options`].
    pub least_effect: f64,
    /// One for each cell of either report.
    pub cells: Vec<Compared>,
    /// Of all cells: slower when one is; else faster when one is; unclear; the same; incomparable when
    /// all are.
    pub verdict: Verdict,
    /// What differs between the circumstances and can change rates.
    pub differences: Vec<String>,
}

/// Which cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// As in [`Measurement`].
    pub engine: String,
    /// As in [`Measurement`].
    pub hook: String,
    /// As in [`Measurement`].
    pub program: String,
    /// As in [`Measurement`].
    pub profile: String,
    /// As in [`Measurement`].
    pub cores: i32,
    /// What was searched for, with what of it decides on the rate.
    pub search: String,
    /// As in [`Measurement`].
    pub measured_by: String,
}

/// One cell of both reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Which.
    pub cell: Key,
    /// Rates of the first report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Summary>,
    /// Rates of the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Summary>,
    /// Rate after over rate before: the median of all ratios of two repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Bounds of that ratio; absent where there are too few repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What follows.
    pub verdict: Verdict,
    /// Why, where the numbers do not say it.
    pub reasons: Vec<String>,
}

/// Bounds of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is nothing to compare, or it would not mean anything.
    Incomparable,
    /// No change that matters.
    Same,
    /// A change that would matter, but no more than noise can make.
    Unclear,
    /// More than before, beyond noise.
    Faster,
    /// Less than before, beyond noise.
    Slower,
}

/// Compares two reports.
#[must_use]
pub fn compare(before: &Report, after: &Report, options: &Options) -> Comparison {
    let differences = differences::between(&before.environment, &after.environment);
    let hindered = if options.across { &[][..] } else { &differences };
    let cells = keys(before, after).into_iter().map(|cell| {
        let of = |report: &Report| -> Option<Measurement> {
            report.results.iter().find(|result| key(result) == cell).cloned()
        };
        compared(cell.clone(), of(before).as_ref(), of(after).as_ref(), hindered, options)
    });
    let cells: Vec<Compared> = cells.collect();
    let verdict = cells.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Incomparable);
    Comparison {
        schema: SCHEMA.to_owned(),
        before: before.environment.clone(),
        after: after.environment.clone(),
        confidence: options.confidence,
        least_effect: options.least_effect,
        cells,
        verdict,
        differences,
    }
}

/// The cells of both, in the order of the first report.
fn keys(before: &Report, after: &Report) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for result in before.results.iter().chain(&after.results) {
        let key = key(result);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn key(result: &Measurement) -> Key {
    let search = match &result.search {
        Search::Maximum => "maximum".to_owned(),
        Search::Soak { load } => format!("soak at {load} pps"),
        Search::Throughput { .. } => "throughput".to_owned(),
        Search::Latency { .. } => "latency".to_owned(),
        Search::FrameLoss { .. } => "frame loss".to_owned(),
        Search::BackToBack(_) => "back-to-back".to_owned(),
        Search::Mlr { goals, .. } => {
            let goals = goals.iter().map(|found| found.goal.name.as_str());
            format!("mlr {}", goals.collect::<Vec<_>>().join(" "))
        }
        Search::None => "none".to_owned(),
    };
    Key {
        engine: result.engine.clone(),
        hook: result.hook.clone(),
        program: result.program.clone(),
        profile: result.profile.clone(),
        cores: result.cores,
        search,
        measured_by: result.measured_by.clone(),
    }
}

/// What makes a cell unfit for a comparison.
fn unfit(which: &str, cell: Option<&Measurement>) -> Option<String> {
    let Some(cell) = cell else { return Some(format!("the {which} report has no such cell")) };
    let invalid = cell.findings.iter().find(|finding| finding.severity == Severity::Invalid);
    match (cell.pps, invalid, &cell.ended) {
        (None, ..) => Some(format!("the {which} report has no rate")),
        (Some(pps), ..) if pps.median <= 0.0 => Some(format!("the {which} rate is zero")),
        (_, Some(finding), _) => Some(format!("{which}: {}", finding.message)),
        (_, _, Ended::Complete | Ended::Stopped | Ended::OutOfTime) => None,
        (.., ended) => Some(format!("the {which} measurement did not come to its end ({ended:?})")),
    }
}

fn compared(
    cell: Key,
    before: Option<&Measurement>,
    after: Option<&Measurement>,
    hindered: &[String],
    options: &Options,
) -> Compared {
    let (pps, rates) = (
        [before, after].map(|cell| cell.and_then(|cell| cell.pps)),
        [before, after].map(|cell| cell.map(logarithms).unwrap_or_default()),
    );
    let shift = rank::shift(&rates[0], &rates[1], options.confidence);
    let mut reasons: Vec<String> =
        [unfit("first", before), unfit("second", after)].into_iter().flatten().collect();
    reasons.extend(before.zip(after).and_then(|(b, a)| differences::of_search(b, a)));
    if !hindered.is_empty() {
        reasons.push("measured under other circumstances".to_owned());
    }
    let verdict = match shift {
        Some(shift) if reasons.is_empty() => judge(&shift, options),
        _ => Verdict::Incomparable,
    };
    if verdict != Verdict::Incomparable && shift.is_some_and(|shift| shift.interval.is_none()) {
        let [n, m] = rates.map(|rates| rates.len());
        let percent = options.confidence * 100.0;
        reasons.push(format!("{n} and {m} repeats are too few to tell a change at {percent} %"));
    }
    let bounds = |(low, high): (f64, f64)| Interval { low: low.exp(), high: high.exp() };
    Compared {
        cell,
        before: pps[0],
        after: pps[1],
        ratio: shift.map(|shift| shift.estimate.exp()),
        interval: shift.and_then(|shift| shift.interval).map(bounds),
        verdict,
        reasons,
    }
}

/// Rates of a cell, on the scale on which ratios are differences.
fn logarithms(cell: &Measurement) -> Vec<f64> {
    cell.rates.iter().filter(|rate| **rate > 0.0).map(|rate| rate.ln()).collect()
}

fn judge(shift: &rank::Shift, options: &Options) -> Verdict {
    let matters = (shift.estimate.exp() - 1.0).abs() >= options.least_effect;
    match shift.interval {
        _ if !matters => Verdict::Same,
        Some((low, _)) if low > 0.0 => Verdict::Faster,
        Some((_, high)) if high < 0.0 => Verdict::Slower,
        _ => Verdict::Unclear,
    }
}
