//! Results of criterion as cells of a report, so that the library's own hot paths are kept, shown and
//! compared as packet rates are.
//!
//! Criterion keeps a folder for each bench below `target/criterion`, with the last results in
//! `new/benchmark.json`, `new/estimates.json` and `new/sample.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Environment, Measurement, Report, SCHEMA, Search};
use crate::search::Ended;
use crate::stats::Summary;
use crate::trial::{Finding, Ledger, Severity};

/// The value of [`Measurement::measured_by`].
pub const MEASURED_BY: &str = "criterion";

/// Into how many repeats the samples of a bench are put together. Samples in succession share what was
/// going on at the time, so each is not a repeat of its own.
const REPEATS: usize = 5;

/// Results that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CriterionError {
    /// A file or folder.
    #[error("cannot read {}: {source}; `cargo bench -p hoist-benches` writes it", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file that is not what criterion writes.
    #[error("{} is not as criterion writes it: {source}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
    /// Time over runs, where the number of runs grew from sample to sample: finer than the median.
    slope: Option<Estimate>,
}

#[derive(Deserialize)]
struct Estimate {
    /// Nanoseconds.
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Sample {
    /// Runs in each sample.
    iters: Vec<f64>,
    /// Nanoseconds that they took.
    times: Vec<f64>,
}

/// A report of such cells. Criterion keeps no circumstances, so they are those of whoever reads.
#[must_use]
pub fn report(results: Vec<Measurement>, environment: Environment) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        environment,
        recipe: Vec::new(),
        floors: Vec::new(),
        results,
        findings: vec![Finding {
            code: "circumstances-of-now".to_owned(),
            severity: Severity::Note,
            message:
                "criterion keeps no circumstances: those shown are of when its results were read"
                    .to_owned(),
            advice: None,
        }],
        interrupted: false,
    }
}

/// Every bench whose results lie below `folder` (`target/criterion`), by name.
///
/// # Errors
/// See [`CriterionError`].
pub fn read(folder: &Path) -> Result<Vec<Measurement>, CriterionError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let error = |source| CriterionError::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if !path.is_dir() {
                continue;
            }
            if path.ends_with("new") && path.join("benchmark.json").is_file() {
                found.push(bench(&path)?);
            } else {
                folders.push(path);
            }
        }
    }
    found.sort_by(|a, b| (&a.program, &a.profile).cmp(&(&b.program, &b.profile)));
    Ok(found)
}

fn file<T: DeserializeOwned>(path: PathBuf) -> Result<T, CriterionError> {
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| CriterionError::Format { path, source })
        }
        Err(source) => Err(CriterionError::Read { path, source }),
    }
}

fn bench(folder: &Path) -> Result<Measurement, CriterionError> {
    let about: Benchmark = file(folder.join("benchmark.json"))?;
    let estimates: Estimates = file(folder.join("estimates.json"))?;
    let sample: Sample = file(folder.join("sample.json"))?;
    let each = estimates.slope.unwrap_or(estimates.median).point_estimate;
    let rates = rates(&sample);
    let (program, profile) = match about.function_id {
        Some(function) => (function, about.group_id),
        None => (about.group_id, String::new()),
    };
    let profile = match about.value_str {
        Some(value) if profile.is_empty() => value,
        Some(value) => format!("{profile}, {value}"),
        None => profile,
    };
    Ok(Measurement {
        engine: "library".to_owned(),
        hook: String::new(),
        program,
        profile,
        frame_bytes: 0.0,
        cores: 1,
        measured_by: MEASURED_BY.to_owned(),
        search: Search::Maximum,
        pps: Summary::of(&rates),
        rates,
        loss_ratio: 0.0,
        ended: Ended::Complete,
        latency: None,
        ledger: Ledger::default(),
        nanoseconds: Some(each),
        cycles: None,
        trials: Vec::new(),
        rejected: 0,
        findings: Vec::new(),
    })
}

/// Runs per second in each of [`REPEATS`] parts of the series.
fn rates(sample: &Sample) -> Vec<f64> {
    let count = sample.iters.len().min(sample.times.len());
    let part = count.div_ceil(REPEATS).max(1);
    let parts = sample.iters[..count].chunks(part).zip(sample.times[..count].chunks(part));
    parts
        .map(|(runs, times)| runs.iter().sum::<f64>() * 1e9 / times.iter().sum::<f64>())
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    fn results(folder: &Path, benchmark: &str, estimates: &str) {
        write(folder, "benchmark.json", benchmark);
        write(folder, "estimates.json", estimates);
        let sample = r#"{"sampling_mode":"Linear",
            "iters":[10,20,30,40,50,60,70,80,90,100],
            "times":[1000,2000,3000,4000,5000,6000,7000,8000,9000,20000]}"#;
        write(folder, "sample.json", sample);
    }

    const BENCHMARK: &str = r#"{"group_id":"4096 instructions","function_id":"parse",
        "value_str":null,"throughput":null,"full_id":"4096 instructions/parse",
        "directory_name":"4096 instructions/parse","title":"4096 instructions/parse"}"#;
    const ESTIMATES: &str = r#"{"mean":{"confidence_interval":{"confidence_level":0.95,
        "lower_bound":1.0,"upper_bound":2.0},"point_estimate":110.0,"standard_error":0.1},
        "median":{"point_estimate":100.0},"slope":{"point_estimate":99.5}}"#;

    #[test]
    fn results_become_cells_of_a_report() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        results(&at("4096 instructions/parse/new"), BENCHMARK, ESTIMATES);
        results(&at("4096 instructions/parse/base"), BENCHMARK, ESTIMATES);
        let lone = r#"{"group_id":"plan","function_id":null,"value_str":"4 cards"}"#;
        let flat = r#"{"median":{"point_estimate":100.0},"slope":null}"#;
        results(&at("plan/4 cards/new"), lone, flat);
        write(&at("report"), "index.html", "<html>");
        let cells = read(folder.path()).unwrap();
        let names: Vec<_> =
            cells.iter().map(|c| (c.program.as_str(), c.profile.as_str(), c.nanoseconds)).collect();
        let expected =
            [("parse", "4096 instructions", Some(99.5)), ("plan", "4 cards", Some(100.0))];
        assert_eq!(names, expected);
        // 100 ns a run, save in the last sample.
        assert_eq!(cells[0].rates[..4], [1e7; 4]);
        assert!(cells[0].rates.len() == 5 && cells[0].rates[4] < 0.7e7, "{:?}", cells[0].rates);
    }

    #[test]
    fn what_is_not_criterions_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_empty());
        let missing = read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none") && missing.contains("cargo bench"), "{missing}");
        results(&folder.path().join("a/new"), "{}", ESTIMATES);
        let bad = read(folder.path()).unwrap_err().to_string();
        assert!(bad.contains("benchmark.json") && bad.contains("group_id"), "{bad}");
    }
}
