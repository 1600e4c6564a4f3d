//! Classifying a load from its trials, as RFC 9971 appendices A and B compute it: the same operations
//! in the same order, so that results are equal to the last bit.

use crate::report::Goal;

/// What a load is for a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Whatever is measured yet within the duration sum, the load stays good enough.
    Lower,
    /// Whatever is measured yet, it stays too much.
    Upper,
    /// It takes more trials.
    Undecided,
}

/// One trial as a search sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// Trial Duration, in seconds; it is the Trial Effective Duration too.
    pub seconds: f64,
    /// Trial Loss Ratio, 0 to 1.
    pub loss_ratio: f64,
    /// Whether the load was really offered; if not, the trial is high-loss for every goal.
    pub offered: bool,
}

/// What of a goal, or of an intermediate target before it, decides on a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Trials at least that long are full-length, in seconds.
    pub seconds: f64,
    /// Duration sum, in seconds.
    pub duration_sum: f64,
    /// Trials that lose more are high-loss.
    pub loss_ratio: f64,
    /// Part of the duration sum that may be high-loss.
    pub exceed_ratio: f64,
    /// The bounds may be apart by this part of the upper one.
    pub width: f64,
}

/// Sums of trial durations at one load, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Full-length, low-loss.
    pub full_low: f64,
    /// Full-length, high-loss.
    pub full_high: f64,
    /// Short, low-loss.
    pub short_low: f64,
    /// Short, high-loss.
    pub short_high: f64,
}

impl Target {
    /// What decides on the goal's result.
    #[must_use]
    pub const fn last(goal: &Goal) -> Self {
        Self {
            seconds: goal.final_trial_seconds,
            duration_sum: goal.duration_sum,
            loss_ratio: goal.loss_ratio,
            exceed_ratio: goal.exceed_ratio,
            width: goal.width,
        }
    }

    /// The intermediate targets of a goal and its final one, in the order in which they are met:
    /// duration sums grow in equal proportions from the initial trial duration to the goal's, and each
    /// width is the square of the next one's, so that halving one gives the next.
    #[must_use]
    pub fn chain(goal: &Goal) -> Vec<Self> {
        let last = Self::last(goal);
        let steps = goal.intermediate;
        let growth = goal.initial_trial_seconds / goal.duration_sum;
        (0..=steps)
            .rev()
            .map(|before| {
                if before == 0 {
                    return last;
                }
                let part = f64::from(before) / f64::from(steps);
                // The first one is exact: a trial shorter by a rounding error would be a short one.
                let duration_sum = match before == steps {
                    true => goal.initial_trial_seconds,
                    false => goal.duration_sum * growth.powf(part),
                };
                Self {
                    seconds: last.seconds.min(duration_sum),
                    duration_sum,
                    width: 1.0 - (1.0 - goal.width).powi(1 << before.min(10)),
                    ..last
                }
            })
            .collect()
    }

    /// Whether a trial is low-loss.
    #[must_use]
    pub fn low_loss(&self, trial: &Observed) -> bool {
        trial.offered && trial.loss_ratio <= self.loss_ratio
    }

    /// Sorts trials at one load into the four sums.
    #[must_use]
    pub fn sums(&self, trials: &[Observed]) -> Sums {
        let mut sums = Sums::default();
        for trial in trials {
            let sum = match (trial.seconds >= self.seconds, self.low_loss(trial)) {
                (true, true) => &mut sums.full_low,
                (true, false) => &mut sums.full_high,
                (false, true) => &mut sums.short_low,
                (false, false) => &mut sums.short_high,
            };
            *sum += trial.seconds;
        }
        sums
    }

    /// RFC 9971 appendix A.
    #[must_use]
    pub fn classify(&self, sums: &Sums) -> Class {
        let exceed_coefficient = self.exceed_ratio / (1.0 - self.exceed_ratio);
        let balancing = sums.short_low * exceed_coefficient;
        let positive_excess = (sums.short_high - balancing).max(0.0);
        let high = sums.full_high + positive_excess;
        let full = sums.full_low + high;
        let whole = full.max(self.duration_sum);
        let quantile = whole * self.exceed_ratio;
        let pessimistic = whole - sums.full_low <= quantile;
        let optimistic = high <= quantile;
        match (optimistic, pessimistic) {
            (true, true) => Class::Lower,
            (false, false) => Class::Upper,
            _ => Class::Undecided,
        }
    }

    /// The loss ratio by which the Conditional Throughput falls short of the load (RFC 9971 appendix
    /// B): that of the full-length trial at the quantile of the goal, missing trials taken as lost
    /// whole. `None` without a full-length trial.
    #[must_use]
    pub fn quantile_loss(&self, trials: &[Observed]) -> Option<f64> {
        let mut full: Vec<&Observed> =
            trials.iter().filter(|trial| trial.seconds >= self.seconds).collect();
        // Trials whose load was not offered count as lost; they come last whatever arrived.
        full.sort_by(|a, b| {
            (!a.offered).cmp(&!b.offered).then(a.loss_ratio.total_cmp(&b.loss_ratio))
        });
        let sums = self.sums(trials);
        let whole = self.duration_sum.max(sums.full_low + sums.full_high);
        let mut remaining = whole * (1.0 - self.exceed_ratio);
        let mut quantile = None;
        for trial in full {
            if quantile.is_some() && remaining <= 0.0 {
                return quantile;
            }
            quantile = Some(trial.loss_ratio);
            remaining -= trial.seconds;
        }
        if remaining > 0.0 { quantile.map(|_| 1.0) } else { quantile }
    }
}
