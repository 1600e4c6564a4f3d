//! One report against another: a gate for regressions.

use hoist_benches::report::compare::{Comparison, Options, Verdict, compare};

use super::report;
use crate::cli::args::BenchCompare;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::render::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use crate::cli::render::table::paragraph;

/// Compares, and fails where something became slower.
///
/// # Errors
/// A file cannot be read or is no report; [`Failure::Told`] for a regression, and for a cell that is measured no more.
pub(super) fn run(cx: &mut Context<'_>, args: &BenchCompare) -> Result<(), Failure> {
    let (before, after) = (report::read(&args.before)?, report::read(&args.after)?);
    let options =
        Options { least_effect: args.least_effect.0, across: args.across, ..Options::default() };
    let comparison = compare(&before, &after, &options);
    if cx.shell.json() {
        cx.shell.document(&comparison)?;
    } else {
        cx.shell.print(text(&comparison))?;
    }
    // What ran before and does not run now is no better than what became slower.
    if comparison.cells.iter().any(|cell| cell.before.is_some() && cell.after.is_none()) {
        return Err(Failure::Told(Exit::Refused));
    }
    match comparison.verdict {
        Verdict::Slower => Err(Failure::Told(Exit::Refused)),
        // Nothing was shown to be as fast as before, which is what a gate is there for.
        Verdict::Incomparable => Err(Failure::Told(Exit::Refused)),
        Verdict::Same | Verdict::Unclear | Verdict::Faster => Ok(()),
    }
}

fn text(comparison: &Comparison) -> String {
    let style = |verdict| match verdict {
        Verdict::Slower => BAD,
        Verdict::Faster => GOOD,
        Verdict::Unclear | Verdict::Incomparable => WARN,
        Verdict::Same => DIM,
    };
    let mut lines: Vec<String> = comparison
        .cells
        .iter()
        .map(|cell| paint(style(cell.verdict), paragraph(0, &cell.line())))
        .collect();
    lines.extend(
        comparison
            .differences
            .iter()
            .map(|difference| paragraph(0, &format!("note: {difference}"))),
    );
    lines.push(paint(HEAD, paragraph(0, &comparison.sentence())));
    lines.join("\n")
}
