//! Where engines do otherwise on a vendor's devices than the contract says, as data.

use crate::engine::{EngineKind, Hook};

/// A known difference between an engine on a driver's devices and docs/semantics.md, for `hoist verify`.
///
/// It is held in both directions: a case of the row that is run and does not show the difference fails, so
/// that no list outlives what it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The row of docs/semantics.md, by its id.
    pub row: &'static str,
    /// Part of the name of the cases that show it, as `hoist verify --list` prints names; every case of
    /// the row when empty.
    pub case: &'static str,
    /// The engine, by kind and hook.
    pub engine: (EngineKind, Hook),
    /// Stable kebab-case code.
    pub code: &'static str,
    /// Why, in one sentence.
    pub why: &'static str,
    /// Place that makes it so: a function of the driver, a section of the manual.
    pub source: &'static str,
    /// What happens instead.
    pub instead: Instead,
}

/// What happens where the contract says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The engine refuses the program: one of its gaps has the expectation's code.
    Refused,
    /// The program runs, and what it does differs: one of the differences, as `hoist verify` words them,
    /// contains this text.
    Shows(&'static str),
}
