//! Results as data: what the certificate, the JSON document and the JUnit file are made from.

use std::fmt;

use hoist_offload::{EngineKind, Gap, Hook};
use serde::{Deserialize, Serialize};

/// What was run, where, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it ran.
    pub environment: Environment,
    /// One result for each case, engine and kind of evidence, in the order they were run.
    pub results: Vec<CaseResult>,
}

impl Report {
    /// How many results count as this.
    #[must_use]
    pub fn count(&self, tally: Tally) -> usize {
        self.results.iter().filter(|r| r.outcome.tally() == tally).count()
    }

    /// Whether nothing is unexplained: no difference and no refusal that the cases do not name.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.results.iter().all(|r| r.outcome.is_explained())
    }
}

/// The machine and the device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub machine: String,
    /// The interface, or `veth` where the suite made its own.
    pub device: String,
    /// Its driver.
    pub driver: Option<String>,
    /// Version of hoist.
    pub hoist: String,
}

/// How a result was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// Frames were sent to the device and looked for where they must arrive.
    #[serde(rename = "real traffic")]
    RealTraffic,
    /// The kernel ran the program on a frame, unattached (`BPF_PROG_TEST_RUN`).
    #[serde(rename = "test run")]
    TestRun,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RealTraffic => "real traffic",
            Self::TestRun => "test run",
        })
    }
}

/// One case on one engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Name of the case file without its ending, `/`, name of the case; where a case sends several
    /// frames, `/` and the frame's name.
    pub case: String,
    /// The program.
    pub program: String,
    /// The engine.
    pub engine: EngineKind,
    /// The hook it was attached to.
    pub hook: Hook,
    /// The interface.
    pub device: String,
    /// How it was seen.
    pub evidence: Evidence,
    /// Rows of docs/semantics.md that the case proves.
    pub rows: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
}

impl CaseResult {
    /// The engine as it is named on a command line that pins it: `native`, `tcx`, `af_packet`.
    #[must_use]
    pub const fn engine_name(&self) -> &'static str {
        match (self.engine, self.hook) {
            (EngineKind::Tc, Hook::Tcx) => "tcx",
            (EngineKind::Tc, Hook::Clsact) => "clsact",
            (EngineKind::User, hook) => hook.name(),
            (engine, _) => engine.name(),
        }
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Differs {
        /// The difference that the case names; `None` when it names none, or another.
        known: Option<Reason>,
        /// One sentence for each thing that was not as expected. Empty for a known difference that
        /// showed itself exactly as described.
        differences: Vec<String>,
    },
    /// The engine does not run the program.
    Refused {
        /// The refusal that the case names; `None` when it names none, or another.
        known: Option<Reason>,
        /// Every reason the engine gave.
        gaps: Vec<Gap>,
    },
    /// It was not tried.
    NotRun {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Under which heading it is counted.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        match self {
            Self::Passed => Tally::Passed,
            Self::Differs { known: Some(_), .. } => Tally::DiffersKnown,
            Self::Differs { known: None, .. } => Tally::Differs,
            Self::Refused { .. } => Tally::Refused,
            Self::NotRun { .. } => Tally::NotRun,
        }
    }

    /// Whether the case names what happened. What was not run is explained: it says why.
    #[must_use]
    pub const fn is_explained(&self) -> bool {
        match self {
            Self::Passed | Self::NotRun { .. } => true,
            Self::Differs { known, .. } | Self::Refused { known, .. } => known.is_some(),
        }
    }
}

/// The headings of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tally {
    /// As expected.
    Passed,
    /// Different, as the case says it would be.
    DiffersKnown,
    /// Different, and nobody said why.
    Differs,
    /// Not run by the engine.
    Refused,
    /// Not tried.
    NotRun,
}

/// Why an engine does otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable kebab-case code; a section of docs/refusals.md.
    pub code: String,
    /// One sentence.
    pub why: String,
    /// Where the kernel's source makes it so.
    pub source: String,
}
