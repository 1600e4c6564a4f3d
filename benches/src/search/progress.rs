//! What is under way, for whoever watches.

use crate::trial::{Order, Trial};

/// Where a run stands.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Which bench, by its place in the list given to [`run`](super::run()).
    pub bench: usize,
    /// How many benches there are.
    pub benches: usize,
    /// Which repeat, from 0.
    pub repeat: usize,
    /// How many repeats there will be.
    pub repeats: usize,
    /// What is being done.
    pub phase: Phase<'a>,
    /// What the search of this turn knows so far.
    pub bounds: &'a [Bounds],
    /// Seconds since the run began.
    pub elapsed: f64,
    /// Seconds that it will take yet, where that can be told: by what a turn took so far, never more
    /// than the budget allows.
    pub left: Option<f64>,
}

/// What is being done.
#[derive(Debug)]
pub enum Phase<'a> {
    /// A trial that will be discarded.
    WarmUp(Order),
    /// A trial that counts begins.
    Trial(Order),
    /// It ended; `accepted` is false when it is rejected.
    Done {
        /// What it observed.
        trial: &'a Trial,
        /// Whether it is used.
        accepted: bool,
    },
}

/// What a search knows about one of its goals.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The goal's name.
    pub goal: String,
    /// Largest load known to be good, in frames per second.
    pub lower: Option<f64>,
    /// Smallest load known to be too much, in frames per second.
    pub upper: Option<f64>,
}
