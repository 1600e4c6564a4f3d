//! The result of the demo: a table, and the comparison in words.

use hoist_offload::Wanted;

use super::traffic::Measured;
use crate::cli::failure::{Exit, Failure};
use crate::cli::render::style::{BAD, GOOD, paint};
use crate::cli::render::table::Table;
use crate::cli::run::rate;

/// One line per engine.
pub(super) fn table(results: &[Measured]) -> String {
    let mut table =
        Table::new(&["engine", "hook", "packets checked", ">rate", ">per packet", "verdicts"]);
    for result in results {
        let right = result.checked.iter().filter(|c| c.verdict == c.expected).count();
        let style = if right == result.checked.len() { GOOD } else { BAD };
        let checked: Vec<String> =
            result.checked.iter().map(|c| c.verdict.name().to_owned()).collect();
        let seen = result.packets.iter().filter(|(_, n)| **n > 0);
        let seen: Vec<String> = seen.map(|(verdict, n)| format!("{verdict} {n}")).collect();
        let (speed, each) = match result.pps {
            Some(pps) if pps > 0.0 => (format!("{}/s", rate(pps)), format!("{:.0} ns", 1e9 / pps)),
            _ => ("-".to_owned(), "-".to_owned()),
        };
        let checked = format!("{right} of {} right ({})", checked.len(), checked.join(", "));
        let notes: Vec<String> = result.note.iter().cloned().collect();
        let words = seen.into_iter().chain(notes).collect::<Vec<_>>().join(", ");
        let (engine, hook) = (result.engine.to_string(), result.hook.to_string());
        table.row([engine, hook, paint(style, checked), speed, each, words]);
    }
    table.render()
}

/// The word that asks for an engine at its hook.
fn name(result: &Measured) -> Wanted {
    Wanted::at(result.engine, result.hook)
}

/// The fastest engine against each other one, and what to think of the figures.
pub(super) fn comparison(results: &[Measured]) -> Vec<String> {
    let mut rates: Vec<(&Measured, f64)> =
        results.iter().filter_map(|r| Some((r, r.pps.filter(|p| *p > 0.0)?))).collect();
    rates.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some(((best, top), others)) = rates.split_first() else { return Vec::new() };
    let mut lines: Vec<String> = others
        .iter()
        .map(|(other, pps)| {
            format!(
                "{} took {:.1} times as many packets per second as {}",
                name(best),
                top / pps,
                name(other)
            )
        })
        .collect();
    for (result, _) in &rates {
        if let Some(lost) = result.lost.filter(|lost| *lost > 0) {
            lines.push(format!(
                "{}: {lost} frames were lost before the program: the rate is what got through",
                name(result)
            ));
        }
    }
    lines
}

/// A wrong verdict is a check that failed.
pub(super) fn judge(results: &[Measured]) -> Result<(), Failure> {
    let right = results.iter().flat_map(|r| &r.checked).all(|c| c.verdict == c.expected);
    if right && !results.is_empty() { Ok(()) } else { Err(Failure::Told(Exit::Refused)) }
}
