//! Reports as files: read again, shown again.

use std::path::Path;

use hoist_benches::report::{Report, SCHEMA};
use serde_json::Value;

use crate::cli::args::BenchReport;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::file;

/// Shows a report again.
///
/// # Errors
/// The file cannot be read or is no report.
pub(super) fn run(cx: &mut Context<'_>, args: &BenchReport) -> Result<(), Failure> {
    let report = read(&args.file)?;
    if cx.shell.json() {
        return cx.shell.document(&report);
    }
    let text = render::bench::report(&report, cx.shell.verbose());
    cx.shell.print(text)
}

/// Reads what `hoist bench --json` wrote.
///
/// # Errors
/// The file cannot be read or is no report.
pub(super) fn read(path: &Path) -> Result<Report, Failure> {
    let name = path.display();
    let next = "'hoist bench --json > FILE' writes a report";
    let text = file::text(path).map_err(|error| {
        Failure::input(format!("cannot read {name}: {}", file::words(&error)), next)
    })?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::input(format!("{name} is not JSON: {error}"), next))?;
    match document.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(other) => {
            let what = format!("{name} has schema {other}; this build reads {SCHEMA}");
            return Err(Failure::input(what, next));
        }
        None => return Err(Failure::input(format!("{name} names no schema"), next)),
    }
    serde_json::from_value(document)
        .map_err(|error| Failure::input(format!("{name} is not a complete report: {error}"), next))
}
