//! Reports as files: read again, shown again.

use std::path::Path;

use hoist_benches::report::{Report, SCHEMA, criterion};
use hoist_benches::scenario::environment;
use serde_json::Value;

use super::page;
use crate::cli::args::BenchReport;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::{date, render};
use crate::file;

/// Shows a report again.
///
/// # Errors
/// The file cannot be read or is no report.
pub(super) fn run(cx: &mut Context<'_>, args: &BenchReport) -> Result<(), Failure> {
    let report = read(&args.file)?;
    if let Some(html) = &args.html {
        page::write(&report, html)?;
    }
    if cx.shell.json() {
        return cx.shell.document(&report);
    }
    let text = render::bench::report(&report, cx.shell.verbose());
    cx.shell.print(text)
}

/// Reads what `hoist bench --json` wrote, or the folder in which criterion keeps results.
///
/// # Errors
/// The file cannot be read or is no report.
pub(super) fn read(path: &Path) -> Result<Report, Failure> {
    if path.is_dir() {
        return criterions(path);
    }
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

/// What criterion measured, under the circumstances of now: it keeps none.
fn criterions(folder: &Path) -> Result<Report, Failure> {
    let next = "'cargo bench -p hoist-benches' writes target/criterion";
    let results =
        criterion::read(folder).map_err(|error| Failure::input(error.to_string(), next))?;
    if results.is_empty() {
        let what = format!("{} holds no results of criterion", folder.display());
        return Err(Failure::input(what, next));
    }
    let environment = environment::capture(date::now(), std::env::args().collect());
    Ok(criterion::report(results, environment))
}
