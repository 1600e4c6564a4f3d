//! What all trials of a search say about loads.

use std::collections::BTreeMap;

use super::classify::{Class, Observed, Target};

/// All trials of one search, by load in whole frames per second.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    by_load: BTreeMap<u64, Vec<(Observed, usize)>>,
}

/// The two loads between which the result of a target lies (RFC 9971 section 4.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relevant {
    /// The largest lower bound below the smallest upper bound.
    pub lower: Option<u64>,
    /// The smallest upper bound.
    pub upper: Option<u64>,
}

impl Trials {
    /// Adds a trial; `index` is its place in the log.
    pub(super) fn add(&mut self, load: u64, trial: Observed, index: usize) {
        self.by_load.entry(load).or_default().push((trial, index));
    }

    /// Trials at one load.
    pub(super) fn at(&self, load: u64) -> Vec<Observed> {
        self.by_load.get(&load).into_iter().flatten().map(|(trial, _)| *trial).collect()
    }

    /// Their places in the log.
    pub(super) fn places(&self, load: u64) -> Vec<usize> {
        self.by_load.get(&load).into_iter().flatten().map(|(_, index)| *index).collect()
    }

    /// Seconds of traffic, all trials together.
    pub(super) fn seconds(&self) -> f64 {
        self.by_load.values().flatten().map(|(trial, _)| trial.seconds).sum()
    }

    pub(super) fn class(&self, load: u64, target: &Target) -> Class {
        target.classify(&target.sums(&self.at(load)))
    }

    pub(super) fn relevant(&self, target: &Target) -> Relevant {
        let mut relevant = Relevant::default();
        for load in self.by_load.keys() {
            match self.class(*load, target) {
                Class::Lower => relevant.lower = Some(*load),
                Class::Upper => {
                    relevant.upper = Some(*load);
                    break;
                }
                Class::Undecided => {}
            }
        }
        relevant
    }

    /// Conditional Throughput at a load, in frames per second.
    pub(super) fn throughput(&self, load: u64, target: &Target) -> Option<f64> {
        let loss_ratio = target.quantile_loss(&self.at(load))?;
        Some(load as f64 * (1.0 - loss_ratio))
    }
}
