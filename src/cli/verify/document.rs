//! The documents of `hoist verify`.

use std::collections::BTreeMap;

use hoist_hwtests::conformance::report::{Evidence, Tally};
use hoist_hwtests::conformance::{CaseResult, Outcome, Report};
use hoist_offload::plan::Warning;
use hoist_offload::{Capabilities, Device};
use serde::Serialize;

use super::tally::{self, Sum};
use crate::semantics::{Class, Row};

/// `hoist.verify.v1`.
#[derive(Debug, Serialize)]
pub(crate) struct VerifyDocument<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// When it began, in UTC (RFC 3339).
    pub date: String,
    /// Version of hoist.
    pub hoist: &'static str,
    /// Machine and interface.
    pub environment: Environment,
    /// Engines that were held against the cases, by the names that pin them.
    pub engines: Vec<&'static str>,
    /// Whether nothing is unexplained.
    pub holds: bool,
    /// Stopped by a signal before the end.
    pub stopped: bool,
    /// What must be known before the results are read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// How many results are of which kind.
    pub summary: Summary,
    /// The contract row by row; only of the suite that comes with hoist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowResult>,
    /// What each engine can do on the interface, requirement by requirement; only of an interface
    /// that was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capabilities>,
    /// Every result.
    pub results: &'a [CaseResult],
}

/// Machine and interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Environment {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub machine: String,
    /// The interface, or `veth` where a pair was made.
    pub device: String,
    /// Where frames were sent from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Kernel driver.
    pub driver: Option<String>,
    /// Firmware version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// MTU, of an interface that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu_bytes: Option<u32>,
    /// Device features by their kernel names, and whether they are on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, bool>,
}

impl Environment {
    /// What the report says, and what is known of the interface that was named.
    pub(crate) fn new(report: &Report, device: Option<&Device>, peer: Option<&str>) -> Self {
        let of = &report.environment;
        let features = device.and_then(|device| device.features.value());
        Self {
            kernel: of.kernel.clone(),
            machine: of.machine.clone(),
            device: of.device.clone(),
            peer: peer.map(str::to_owned),
            driver: device.and_then(|d| d.driver.value().cloned()).or_else(|| of.driver.clone()),
            firmware: device.and_then(|d| d.firmware.clone()).filter(|f| !f.is_empty()),
            mtu_bytes: device.map(|device| device.mtu_bytes),
            features: features
                .map(|all| all.iter().map(|(name, toggle)| (name.clone(), toggle.on)).collect())
                .unwrap_or_default(),
        }
    }
}

/// How many results are of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// As expected.
    pub passed: usize,
    /// Different, as the cases say.
    pub differs_known: usize,
    /// The engine does not run the program, and that is explained.
    pub refused: usize,
    /// Not tried.
    pub not_run: usize,
    /// Different or refused, and nobody said why.
    pub failed: usize,
}

impl Summary {
    /// Counts results.
    pub(crate) fn of(report: &Report) -> Self {
        let failed = report.results.iter().filter(|r| !r.outcome.is_explained()).count();
        let refused = report.count(Tally::Refused);
        let unexplained = report
            .results
            .iter()
            .filter(|r| r.outcome.tally() == Tally::Refused && !r.outcome.is_explained());
        Self {
            passed: report.count(Tally::Passed),
            differs_known: report.count(Tally::DiffersKnown),
            refused: refused - unexplained.count(),
            not_run: report.count(Tally::NotRun),
            failed,
        }
    }
}

/// One row of the contract.
#[derive(Debug, Serialize)]
pub(crate) struct RowResult {
    /// Its id in docs/semantics.md.
    pub id: String,
    /// The heading it stands under.
    pub section: String,
    /// What is observed.
    pub observable: String,
    /// `same`, `made-same` or `differs`.
    pub class: &'static str,
    /// The code of the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What was found, by engine.
    pub engines: BTreeMap<&'static str, Sum>,
}

impl RowResult {
    /// The contract, with what the results say of each row on each engine.
    pub(crate) fn all(rows: Vec<Row>, results: &[CaseResult]) -> Vec<Self> {
        let engines = tally::engines(results);
        let of = |row: &Row, engine: &str| {
            let shows = |result: &CaseResult| {
                !row.only_traffic
                    || result.evidence == Evidence::RealTraffic
                    || matches!(result.outcome, Outcome::Refused { .. })
            };
            let proves = |result: &&CaseResult| {
                result.engine_name() == engine && result.rows.contains(&row.id) && shows(result)
            };
            tally::sum(results.iter().filter(proves))
        };
        rows.into_iter()
            .map(|row| {
                let engines = engines.iter().map(|engine| (*engine, of(&row, engine))).collect();
                let (class, code) = match row.class {
                    Class::Same => ("same", None),
                    Class::MadeSame => ("made-same", None),
                    Class::Differs(code) => ("differs", Some(code)),
                };
                let Row { id, section, observable, .. } = row;
                Self { id, section, observable, class, code, engines }
            })
            .collect()
    }
}

/// `hoist.verify-list.v1`.
#[derive(Debug, Serialize)]
pub(crate) struct ListDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// The cases.
    pub cases: Vec<ListedCase>,
}

/// One case, not run.
#[derive(Debug, Serialize)]
pub(crate) struct ListedCase {
    /// File and name, as results have them.
    pub case: String,
    /// The program.
    pub program: String,
    /// Rows of docs/semantics.md that it proves.
    pub rows: Vec<String>,
}

/// `hoist.verify-new.v1`.
#[derive(Debug, Serialize)]
pub(crate) struct NewDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// The file that was written.
    pub file: String,
    /// How many cases it has.
    pub cases: usize,
    /// Whether the expectations are what the program did.
    pub tried: bool,
}
