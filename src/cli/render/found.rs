//! What searches found, in words.

use hoist_benches::report::words::carrier;
use hoist_benches::report::{GoalFound, LossStep, Measurement, Search};
use hoist_benches::stats::Summary;
use hoist_benches::trial::{Latency, Percentiles};

use super::style::{HEAD, paint};
use super::table::Table;

/// Everything of a cell that its row does not hold; empty where nothing was searched.
pub(super) fn found(result: &Measurement) -> String {
    let mut parts = Vec::new();
    match &result.search {
        Search::Maximum | Search::Soak { .. } | Search::None => {}
        Search::Throughput { max_load, width, seconds, .. } => parts.push(format!(
            "  throughput (RFC 2544 section 26.1) of at most {} Mpps, to {:.1} % of it, confirmed by \
             {seconds} s",
            mpps(*max_load),
            width * 100.0
        )),
        Search::Latency { load, trials, typical, worst_case, delay_variation } => {
            parts.push(format!(
                "  latency at {} Mpps over {trials} trials: typical {}, worst case {}, delay variation {}",
                mpps(*load),
                time(*typical),
                time(*worst_case),
                time(*delay_variation)
            ));
        }
        Search::FrameLoss { max_load, steps } => parts.push(losses(*max_load, steps)),
        Search::BackToBack(burst) => parts.push(match &burst.frames {
            Some(frames) => format!(
                "  bursts at {} Mpps without loss: mean {:.0} frames (min {:.0}, max {:.0}, deviation \
                 {:.0}, {} tests); buffer {} implied, {} corrected",
                mpps(burst.rate),
                frames.mean,
                frames.min,
                frames.max,
                frames.stdev,
                frames.runs,
                time(burst.implied_seconds * 1e9),
                time(burst.corrected_seconds * 1e9)
            ),
            None => "  no burst came through without loss".to_owned(),
        }),
        Search::Mlr { goals, trial_seconds, .. } => parts.push(mlr(goals, trial_seconds.as_ref())),
    }
    parts.extend(result.latency.as_ref().map(latency));
    if parts.is_empty() {
        return String::new();
    }
    let title =
        format!("{} on {}, {} byte frames", result.program, carrier(result), result.profile);
    format!("{}\n{}", paint(HEAD, title), parts.join("\n"))
}

fn mpps(pps: f64) -> String {
    format!("{:.3}", pps / 1e6)
}

/// Nanoseconds in the unit that fits.
pub(super) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e4 => format!("{ns:.0} ns"),
        ns if ns < 1e7 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

fn mlr(goals: &[GoalFound], seconds: Option<&Summary>) -> String {
    let mut table = Table::new(&[
        "  goal",
        ">Mpps",
        ">min",
        ">max",
        ">lower bound",
        ">upper bound",
        ">loss allowed",
    ]);
    let shown = |summary: &Option<Summary>, of: fn(&Summary) -> f64| {
        summary.as_ref().map_or_else(|| "-".to_owned(), |summary| mpps(of(summary)))
    };
    for found in goals {
        table.row([
            format!("  {}", found.goal.name),
            shown(&found.throughput, |s| s.median),
            shown(&found.throughput, |s| s.min),
            shown(&found.throughput, |s| s.max),
            shown(&found.lower, |s| s.median),
            shown(&found.upper, |s| s.median),
            format!("{} %", found.goal.loss_ratio * 100.0),
        ]);
    }
    let took = seconds.map(|s| format!("\n  each search took {:.0} s of traffic", s.median));
    format!("{}{}", table.render(), took.unwrap_or_default())
}

fn losses(max_load: f64, steps: &[LossStep]) -> String {
    let mut table = Table::new(&["  load", ">Mpps", ">lost", ">min", ">max"]);
    for LossStep { part, load, loss_ratio } in steps {
        let percent = |part: f64| format!("{:.4} %", part * 100.0);
        table.row([
            format!("  {:.0} %", part * 100.0),
            mpps(*load),
            percent(loss_ratio.median),
            percent(loss_ratio.min),
            percent(loss_ratio.max),
        ]);
    }
    format!("  loss (RFC 2544 section 26.3); 100 % is {} Mpps\n{}", mpps(max_load), table.render())
}

/// Percentiles of one trial: the one with the median rate.
fn latency(latency: &Latency) -> String {
    let mut table = Table::new(&[
        "  latency",
        ">min",
        ">p50",
        ">p90",
        ">p99",
        ">p99.9",
        ">p99.99",
        ">max",
        ">frames",
    ]);
    let mut row = |name: &str, p: &Percentiles| {
        let mut cells = vec![format!("  {name}")];
        let values = [p.min, p.p50, p.p90, p.p99, p.p99_9, p.p99_99, p.max];
        cells.extend(values.map(|ns| time(ns as f64)));
        cells.push(p.frames.to_string());
        table.row(cells);
    };
    if let Some(intended) = &latency.from_intended {
        row("from intended", intended);
    }
    row("from sent", &latency.from_sent);
    if let Some(lateness) = &latency.lateness {
        row("sent late by", lateness);
    }
    table.render()
}
