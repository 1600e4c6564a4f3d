//! What a benchmark found, as a document: `hoist bench --json` writes it, every other form (table,
//! page, comparison) is made from it.

pub mod compare;
pub mod criterion;
mod found;
pub mod html;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
pub mod words;

pub use found::{BackToBack, Goal, GoalFound, LossStep, Search, Spread};

use serde::{Deserialize, Serialize};

use crate::search::Ended;
use crate::stats::Summary;
use crate::trial::{Finding, Latency, Ledger, Trial};

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "hoist.bench.v1";

/// One run of `hoist bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where and under which circumstances, complete.
    pub environment: Environment,
    /// What was changed for the benchmark, and put back after it, in order.
    #[serde(default)]
    pub recipe: Vec<Step>,
    /// What the machine reaches when next to nothing is done.
    #[serde(default)]
    pub floors: Vec<Floor>,
    /// One for each cell of the matrix.
    pub results: Vec<Measurement>,
    /// What concerns the run as a whole.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Whether it ended before its time; what was measured stands.
    #[serde(default)]
    pub interrupted: bool,
}

/// The machine, the kernel and the devices as they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// hoist's version.
    pub hoist: String,
    /// Start, RFC 3339 in UTC.
    pub started: String,
    /// Kernel release.
    pub kernel: String,
    /// Everything else by name: `cpu`, `cpus`, `tsc_hz`, `hz`, `mitigations`, `bpf_jit`, `preempt`,
    /// `bpf_stats`, `governor`, `smt`, `hypervisor`, `memory` ...
    pub machine: std::collections::BTreeMap<String, String>,
    /// The devices in use: name, driver, firmware, link speed, MTU, queues, rings, GRO, threaded NAPI,
    /// by name.
    pub devices: std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>,
    /// The command, word by word.
    pub command: Vec<String>,
}

/// One change made to prepare a device, in words that can be typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// For example `ethtool -K v0 gro on`.
    pub command: String,
    /// Why.
    pub why: String,
    /// What it was before, to which it is put back; `None` when nothing is to be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A floor: what the harness itself costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// `generator alone`, `empty program`, `bounce`, `meter` ...
    pub name: String,
    /// What it means, in a sentence.
    pub about: String,
    /// Millions of packets (or hops, or runs) per second per core: packets per second.
    pub pps: Summary,
}

/// One cell of the matrix: one program on one engine under one kind of traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The engine's name, or `without hoist` for the control.
    pub engine: String,
    /// The hook's name.
    pub hook: String,
    /// The program's name.
    pub program: String,
    /// The traffic profile's name.
    pub profile: String,
    /// Mean size of a frame in bytes, with FCS.
    pub frame_bytes: f64,
    /// Processors that generate, or -1 for a remote generator.
    pub cores: i32,
    /// `real traffic`, `bounce`, `test run`.
    pub measured_by: String,
    /// What was searched for and found.
    pub search: Search,
    /// Packets per second, over the repeats; `None` when nothing could be measured.
    pub pps: Option<Summary>,
    /// The same, one by one, in the order in which they were measured.
    #[serde(default)]
    pub rates: Vec<f64>,
    /// Part of the intended frames that was lost in the trials on which the rates rest, all together.
    pub loss_ratio: f64,
    /// How the search ended.
    pub ended: Ended,
    /// Of the trial with the median rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Sums over all valid trials: where every frame went.
    pub ledger: Ledger,
    /// Nanoseconds per packet on a saturated core, when one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nanoseconds: Option<f64>,
    /// Cycles of the TSC per packet on a saturated core, when one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<f64>,
    /// Valid trials, and those rejected by what was observed.
    pub trials: Vec<Trial>,
    /// Trials that were rejected; each is in `trials` too.
    pub rejected: usize,
    /// What concerns this cell.
    #[serde(default)]
    pub findings: Vec<Finding>,
}
