//! A benchmark's report as text.

use std::fmt::Write as _;

use hoist_benches::report::words::{self, carrier};
use hoist_benches::report::{Floor, Measurement, Report, Search, Step, criterion};
use hoist_benches::scenario::Scenario;
use hoist_benches::search::Ended;
use hoist_benches::trial::{Finding, Ledger, Severity};

use super::found::found;
use super::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use super::table::{Table, paragraph};

/// The whole report.
pub(crate) fn report(report: &Report, verbose: bool) -> String {
    let measured = |result: &&Measurement| result.measured_by != criterion::MEASURED_BY;
    let (cells, timed): (Vec<&Measurement>, Vec<&Measurement>) =
        report.results.iter().partition(measured);
    let mut parts = vec![paths(&timed)];
    if !cells.is_empty() {
        parts.push(table(&cells));
    }
    parts.extend(ratios(&report.results));
    parts.extend(report.results.iter().map(found));
    parts.push(floors(&report.floors));
    let findings = findings(report, verbose);
    if !findings.is_empty() {
        parts.push(findings);
    }
    if verbose {
        parts.extend(report.results.iter().map(ledger));
    }
    if report.interrupted {
        let words = match report.results.iter().any(|result| result.pps.is_some()) {
            true => "interrupted: this is what was measured until then",
            false => "interrupted before anything was measured",
        };
        parts.push(paint(WARN, words));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// Hot paths of the library, as criterion timed them.
fn paths(timed: &[&Measurement]) -> String {
    if timed.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["bench", "of", ">microseconds", ">runs per second"]);
    for one in timed {
        let time = one.nanoseconds.map_or_else(String::new, |each| format!("{:.3}", each / 1e3));
        let rate = one.pps.map_or_else(String::new, |rate| format!("{:.0}", rate.median));
        table.row([one.program.clone(), one.profile.clone(), time, rate]);
    }
    table.render()
}

/// What would be done.
pub(crate) fn dry(steps: &[Step], scenario: &Scenario) -> String {
    let programs: Vec<&str> = scenario.subjects.iter().map(|s| &*s.name).collect();
    let carriers: Vec<String> = scenario.carriers.iter().map(ToString::to_string).collect();
    let cores: Vec<String> = scenario.cores.iter().map(ToString::to_string).collect();
    let repeats = scenario.rules.repeats;
    let mut table = Table::pairs(2);
    table.row(["programs".to_owned(), programs.join(", ")]);
    table.row(["on".to_owned(), carriers.join(", ")]);
    table.row(["cores that generate".to_owned(), cores.join(", ")]);
    table.row(["repeats".to_owned(), repeats.to_string()]);
    let head = paint(HEAD, "Would be measured");
    format!("{}\n{head}\n{}", recipe(steps), table.render())
}

/// What is changed, in words that can be typed.
pub(crate) fn recipe(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "Nothing is changed on the interfaces.".to_owned();
    }
    let mut lines = vec![paint(HEAD, "Changes on the interfaces")];
    for Step { command, why, before } in steps {
        lines.push(format!("  {command}"));
        let back = match before {
            Some(before) => format!("; put back to {before} at the end"),
            None => String::new(),
        };
        lines.push(paragraph(4, &format!("{why}{back}")));
    }
    lines.join("\n")
}

/// One line for each cell. What is the same for all, and as usual, has no column.
fn table(results: &[&Measurement]) -> String {
    let cores = results.iter().any(|result| result.cores != 1);
    let search = results.iter().any(|result| result.search != Search::Maximum);
    let columns = [
        ("engine", true),
        ("hook", true),
        ("program", true),
        ("frames", true),
        (">cores", cores),
        ("sought", search),
        (">Mpps", true),
        (">min", true),
        (">max", true),
        (">ns each", true),
        (">lost", true),
        ("unaccounted for", true),
    ];
    let head: Vec<&str> = columns.iter().filter(|c| c.1).map(|c| c.0).collect();
    let mut table = Table::new(&head);
    for result in results {
        let cells = row(result).into_iter().zip(columns);
        table.row(cells.filter(|(_, column)| column.1).map(|(cell, _)| cell));
    }
    table.render()
}

fn row(result: &Measurement) -> [String; 12] {
    let mpps = |pps: f64| format!("{:.3}", pps / 1e6);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let pps = result.pps.as_ref();
    let hook = if result.hook.is_empty() { "-" } else { &result.hook };
    [
        result.engine.clone(),
        hook.to_owned(),
        result.program.clone(),
        result.profile.clone(),
        match result.cores {
            -1 => "remote".to_owned(),
            cores => cores.to_string(),
        },
        sought(result).to_owned(),
        or_none(pps.map(|pps| mpps(pps.median))),
        or_none(pps.map(|pps| mpps(pps.min))),
        or_none(pps.map(|pps| mpps(pps.max))),
        or_none(result.nanoseconds.map(|ns| format!("{ns:.0}"))),
        or_none(pps.map(|_| percent(result.loss_ratio))),
        account(result),
    ]
}

/// What was searched for, in a word.
fn sought(result: &Measurement) -> &'static str {
    match result.search {
        Search::Maximum => "maximum",
        Search::Soak { .. } => "fixed rate",
        Search::Throughput { .. } => "throughput",
        Search::Latency { .. } => "latency",
        Search::FrameLoss { .. } => "loss",
        Search::BackToBack(_) => "back-to-back",
        Search::Mlr { .. } => "RFC 9971",
        Search::None => "-",
    }
}

/// What is left over of the trials that count; what else there is to say instead.
fn account(result: &Measurement) -> String {
    if let (None, ended) = (&result.pps, &result.ended) {
        return match ended {
            Ended::Failed(_) => paint(BAD, "not measured"),
            Ended::Rejected | Ended::NoTraffic => paint(BAD, "no valid trial"),
            Ended::Stopped => paint(WARN, "stopped"),
            Ended::OutOfTime => paint(WARN, "out of time"),
            Ended::Complete => paint(WARN, "nothing found"),
        };
    }
    let residual: i128 = result.ledger.stages.iter().map(|s| s.residual().abs()).sum();
    let mut words = match (residual, result.rejected) {
        (0, 0) => paint(GOOD, "0"),
        (0, n) => format!("{} ({n} rejected)", paint(GOOD, "0")),
        (residual, _) => paint(BAD, residual),
    };
    if let Some(part) = words::not_forwarded(result) {
        let _ = write!(words, ", {}", paint(WARN, part));
    }
    words
}

fn percent(part: f64) -> String {
    match part {
        0.0 => "0 %".to_owned(),
        part if part < 0.000_01 => "< 0.001 %".to_owned(),
        part => format!("{:.3} %", part * 100.0),
    }
}

/// How the fastest of each group stands to the others.
fn ratios(results: &[Measurement]) -> Option<String> {
    let lines: Vec<String> = words::ratios(results).iter().map(|line| paragraph(0, line)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What the harness itself reaches.
fn floors(floors: &[Floor]) -> String {
    let mut table = Table::new(&["floor", ">Mpps", ">ns each", "what it is"]);
    for Floor { name, about, pps } in floors {
        let each = if pps.median > 0.0 { format!("{:.0}", 1e9 / pps.median) } else { "-".into() };
        table.row([name.clone(), format!("{:.3}", pps.median / 1e6), each, about.clone()]);
    }
    if floors.is_empty() { String::new() } else { table.render() }
}

/// Everything that a reader must know, each code once, with the cells that it concerns and the words of
/// the first of them, or all where more is asked for. Notes are named only, unless more is asked for.
fn findings(report: &Report, verbose: bool) -> String {
    let mut all: Vec<(&Finding, Vec<String>)> = Vec::new();
    let alike = |one: &Finding, other: &Finding| match verbose {
        true => one == other,
        false => one.code == other.code && one.severity == other.severity,
    };
    let mut add = |finding, cell: Option<String>| match all
        .iter_mut()
        .find(|(known, _)| alike(known, finding))
    {
        Some((_, cells)) => cells.extend(cell.filter(|cell| !cells.contains(cell))),
        None => all.push((finding, cell.into_iter().collect())),
    };
    report.findings.iter().for_each(|finding| add(finding, None));
    for result in &report.results {
        result.findings.iter().for_each(|finding| add(finding, Some(carrier(result))));
    }
    all.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
    let whole = |finding: &Finding| verbose || finding.severity != Severity::Note;
    let mut lines: Vec<String> =
        all.iter().filter(|(f, _)| whole(f)).map(|(f, cells)| explained(f, cells)).collect();
    let mut notes: Vec<&str> = Vec::new();
    for (finding, _) in all.iter().filter(|(f, _)| !whole(f)) {
        if !notes.contains(&finding.code.as_str()) {
            notes.push(&finding.code);
        }
    }
    if !notes.is_empty() {
        lines.push(paragraph(0, &format!("notes (-v explains): {}", notes.join(", "))));
    }
    lines.join("\n")
}

fn explained(finding: &Finding, cells: &[String]) -> String {
    let (style, word) = match finding.severity {
        Severity::Note => (DIM, "note"),
        Severity::Warning => (WARN, "warning"),
        Severity::Invalid => (BAD, "invalid"),
    };
    let of = if cells.is_empty() { String::new() } else { format!("{}: ", cells.join(", ")) };
    let line = format!("{}: {of}{} [{}]", paint(style, word), finding.message, finding.code);
    let mut lines = vec![paragraph(0, &line)];
    lines.extend(finding.advice.iter().map(|advice| paragraph(2, advice)));
    lines.join("\n")
}

/// Where every packet of a cell went.
fn ledger(result: &Measurement) -> String {
    let title = format!("{} on {}: where every packet went", result.program, carrier(result));
    let Ledger { stages, witnesses } = &result.ledger;
    let mut table = Table::new(&["", ">packets", "counted by"]);
    for stage in stages {
        let came = format!("{}:", stage.name);
        table.row([came, stage.came.packets.to_string(), stage.came.counter.clone()]);
        for entry in &stage.out {
            let fate = format!("  {}", words::fate(entry.fate));
            table.row([fate, entry.packets.to_string(), entry.counter.clone()]);
        }
    }
    for witness in witnesses {
        let word = if witness.packets == witness.expected { "confirms" } else { "CONTRADICTS" };
        let counter = format!("{} ({word} {})", witness.counter, witness.confirms);
        table.row(["  witness".to_owned(), witness.packets.to_string(), counter]);
    }
    format!("{}\n{}", paint(HEAD, title), table.render())
}
