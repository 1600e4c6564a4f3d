//! What a search found, in the terms of the document that defines it.

use serde::{Deserialize, Serialize};

use crate::stats::Summary;

/// What the search of a cell found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "search", rename_all = "kebab-case")]
pub enum Search {
    /// The rate at full speed: nothing was searched.
    Maximum,
    /// A fixed load, held.
    Soak {
        /// Frames per second.
        load: f64,
    },
    /// RFC 2544 section 26.1: the highest load of which nothing is lost.
    Throughput {
        /// Largest load that was tried, in frames per second.
        max_load: f64,
        /// Least part of the load by which two loads were told apart.
        width: f64,
        /// Length of the trial that confirmed each load found, in seconds.
        seconds: f64,
        /// The loads found, in frames per second, over the repeats; `None` when there is none.
        load: Option<Summary>,
    },
    /// RFC 2544 section 26.2: latency at the throughput.
    Latency {
        /// Frames per second at which it was measured.
        load: f64,
        /// Trials.
        trials: usize,
        /// Mean over the trials of each one's median (RFC 8219 section 7.2: typical latency), in
        /// nanoseconds.
        typical: f64,
        /// Mean over the trials of each one's 99.9th percentile (RFC 8219: worst case latency).
        worst_case: f64,
        /// Mean over the trials of the 99.9th percentile less the least (RFC 8219 section 7.3.1).
        delay_variation: f64,
    },
    /// RFC 2544 section 26.3: how loss grows with load.
    FrameLoss {
        /// The load that is called 100 %, in frames per second.
        max_load: f64,
        /// From the highest load down, those of the last repeat that came to its end.
        steps: Vec<LossStep>,
    },
    /// RFC 2544 section 26.4 with RFC 9004: the longest burst of which nothing is lost.
    BackToBack(BackToBack),
    /// RFC 9971: multiple loss ratio search.
    Mlr {
        /// Smallest load that was allowed, in frames per second.
        min_load: f64,
        /// Largest load that was allowed.
        max_load: f64,
        /// What was found for each goal, in the order in which they were given.
        goals: Vec<GoalFound>,
        /// Seconds of traffic that a repeat took, over the repeats.
        trial_seconds: Option<Summary>,
    },
    /// The cell could not be measured; the findings say why.
    None,
}

/// Loss at one load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossStep {
    /// Part of the largest load, 0 to 1.
    pub part: f64,
    /// Frames per second.
    pub load: f64,
    /// Part of the intended frames that was lost, over the repeats.
    pub loss_ratio: Summary,
}

/// RFC 9004 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackToBack {
    /// Rate of the bursts, in frames per second: the most that the medium or the generator can do.
    pub rate: f64,
    /// Throughput by which the buffer time is corrected, in frames per second.
    pub throughput: f64,
    /// Longest burst without loss, in frames, over the tests; `None` when no burst came through.
    pub frames: Option<Spread>,
    /// Mean burst over rate, in seconds: time that the device can store at that rate.
    pub implied_seconds: f64,
    /// The same without what left the device while the burst came in.
    pub corrected_seconds: f64,
}

/// What RFC 9004 wants told of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Standard deviation of the sample.
    pub stdev: f64,
    /// How many values.
    pub runs: usize,
}

/// A search goal of RFC 9971 section 4.6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Goal {
    /// For people: `NDR`, `PDR`.
    pub name: String,
    /// Goal Final Trial Duration, in seconds: shorter trials are "short".
    pub final_trial_seconds: f64,
    /// Goal Duration Sum, in seconds: how long a load is tried before it is classified at the latest.
    pub duration_sum: f64,
    /// Goal Loss Ratio, 0 to 1: a trial that loses more is "high-loss".
    pub loss_ratio: f64,
    /// Goal Exceed Ratio, 0 to below 1: part of the duration sum that may be high-loss.
    pub exceed_ratio: f64,
    /// Goal Initial Trial Duration, in seconds: length of the first trials, and duration sum of the
    /// first intermediate target.
    pub initial_trial_seconds: f64,
    /// Goal Width: the bounds may be apart by this part of the upper one.
    pub width: f64,
    /// Intermediate targets before the final one; each has twice the width of the next.
    pub intermediate: u32,
}

/// What RFC 9971 finds for one goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoalFound {
    /// The goal.
    pub goal: Goal,
    /// Relevant Lower Bound, in frames per second, over the repeats.
    pub lower: Option<Summary>,
    /// Relevant Upper Bound, likewise.
    pub upper: Option<Summary>,
    /// Conditional Throughput at the Relevant Lower Bound, in frames per second, over the repeats;
    /// `None` when every result is irregular.
    pub throughput: Option<Summary>,
    /// Repeats without an upper bound: the largest load allowed passed.
    pub no_upper: usize,
    /// Repeats without a lower bound: the smallest load allowed failed.
    pub no_lower: usize,
    /// Repeats whose bounds are not as close as the goal wants: the traffic allowed was used up.
    #[serde(default)]
    pub unfinished: usize,
}

impl Default for Goal {
    fn default() -> Self {
        Self::ndr()
    }
}

impl Goal {
    /// The non-drop rate of CSIT, its times divided by four: trials of 0.25 s, a sum of 5.25 s.
    #[must_use]
    pub fn ndr() -> Self {
        Self {
            name: "NDR".to_owned(),
            final_trial_seconds: 0.25,
            duration_sum: 5.25,
            loss_ratio: 0.0,
            exceed_ratio: 0.5,
            initial_trial_seconds: 0.25,
            width: 0.005,
            intermediate: 2,
        }
    }

    /// The partial drop rate of CSIT, likewise: half a percent may be lost.
    #[must_use]
    pub fn pdr() -> Self {
        Self { name: "PDR".to_owned(), loss_ratio: 0.005, ..Self::ndr() }
    }
}
