//! A benchmark's report as text.

use hoist_benches::report::{Floor, Measurement, Report, Search, Step};
use hoist_benches::scenario::Scenario;
use hoist_benches::search::Ended;
use hoist_benches::trial::{Finding, Ledger, Severity};

use super::found::found;
use super::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use super::table::{Table, paragraph};

/// The whole report.
pub(crate) fn report(report: &Report, verbose: bool) -> String {
    let mut parts = vec![table(&report.results)];
    parts.extend(words(&report.results));
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
        parts.push(paint(WARN, "interrupted: this is what was measured until then"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
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

/// One line for each cell.
fn table(results: &[Measurement]) -> String {
    let mut table = Table::new(&[
        "engine",
        "hook",
        "program",
        "frames",
        ">cores",
        "sought",
        ">Mpps",
        ">min",
        ">max",
        ">lost",
        "unaccounted for",
    ]);
    for result in results {
        table.row(row(result));
    }
    table.render()
}

fn row(result: &Measurement) -> Vec<String> {
    let mpps = |pps: f64| format!("{:.3}", pps / 1e6);
    let [median, min, max] = match &result.pps {
        Some(pps) => [mpps(pps.median), mpps(pps.min), mpps(pps.max)],
        None => ["-", "-", "-"].map(str::to_owned),
    };
    let lost = match &result.pps {
        Some(_) => percent(result.loss_ratio),
        None => "-".to_owned(),
    };
    let hook = if result.hook.is_empty() { "-" } else { &result.hook };
    vec![
        result.engine.clone(),
        hook.to_owned(),
        result.program.clone(),
        result.profile.clone(),
        match result.cores {
            -1 => "remote".to_owned(),
            cores => cores.to_string(),
        },
        sought(result).to_owned(),
        median,
        min,
        max,
        lost,
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
    match (residual, result.rejected) {
        (0, 0) => paint(GOOD, "0"),
        (0, n) => format!("{} ({n} rejected)", paint(GOOD, "0")),
        (residual, _) => paint(BAD, residual),
    }
}

fn percent(part: f64) -> String {
    match part {
        0.0 => "0 %".to_owned(),
        part if part < 0.000_01 => "< 0.001 %".to_owned(),
        part => format!("{:.3} %", part * 100.0),
    }
}

/// `native`, or `tcx` where the hook says more.
pub(super) fn name(result: &Measurement) -> String {
    match result.hook.as_str() {
        "" | "xdp" => result.engine.clone(),
        hook => hook.to_owned(),
    }
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

/// The fastest of each group against the others, in words.
fn words(results: &[Measurement]) -> Option<String> {
    let mut lines = Vec::new();
    let same = |a: &Measurement, b: &Measurement| {
        a.program == b.program
            && a.profile == b.profile
            && a.cores == b.cores
            && sought(a) == sought(b)
    };
    let mut rest = results;
    while let Some(first) = rest.first() {
        let size = rest.iter().take_while(|r| same(first, r)).count();
        let (group, after) = rest.split_at(size);
        rest = after;
        // Where all are sent the same, the same arrives.
        if matches!(first.search, Search::Soak { .. }) {
            continue;
        }
        let mut rates: Vec<(&Measurement, f64)> = group
            .iter()
            .filter_map(|r| Some((r, r.pps?.median)))
            .filter(|(_, m)| *m > 0.0)
            .collect();
        rates.sort_by(|a, b| b.1.total_cmp(&a.1));
        let Some(((best, top), others)) = rates.split_first() else { continue };
        let ratios: Vec<String> = others
            .iter()
            .map(|(o, rate)| format!("{:.1} times that of {}", top / rate, name(o)))
            .collect();
        if !ratios.is_empty() {
            lines.push(paragraph(
                0,
                &format!("{}: {} took {}", best.program, name(best), list(&ratios)),
            ));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => format!("packets at {one}"),
        [all @ .., last] => format!("packets at {} and {last}", all.join(", ")),
    }
}

/// Everything that a reader must know, each once, with the cells that it concerns. Notes are named only,
/// unless more is asked for.
fn findings(report: &Report, verbose: bool) -> String {
    let mut all: Vec<(&Finding, Vec<String>)> = Vec::new();
    let mut add = |finding, cell: Option<String>| match all
        .iter_mut()
        .find(|(known, _): &&mut (&Finding, _)| *known == finding)
    {
        Some((_, cells)) => cells.extend(cell.filter(|cell| !cells.contains(cell))),
        None => all.push((finding, cell.into_iter().collect())),
    };
    report.findings.iter().for_each(|finding| add(finding, None));
    for result in &report.results {
        result.findings.iter().for_each(|finding| add(finding, Some(name(result))));
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
    let title = format!("{} on {}: where every packet went", result.program, name(result));
    let Ledger { stages, witnesses } = &result.ledger;
    let mut table = Table::new(&["", ">packets", "counted by"]);
    for stage in stages {
        let came = format!("{}:", stage.name);
        table.row([came, stage.came.packets.to_string(), stage.came.counter.clone()]);
        for entry in &stage.out {
            let fate = format!("  {:?}", entry.fate).to_lowercase();
            table.row([fate, entry.packets.to_string(), entry.counter.clone()]);
        }
    }
    for witness in witnesses {
        let word = if witness.packets == witness.expected { "confirmed" } else { "CONTRADICTED" };
        let counter = format!("{} ({word} {})", witness.counter, witness.confirms);
        table.row(["  witness".to_owned(), witness.packets.to_string(), counter]);
    }
    format!("{}\n{}", paint(HEAD, title), table.render())
}
