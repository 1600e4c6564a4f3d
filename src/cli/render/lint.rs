//! What a card would refuse, as text.

use std::collections::BTreeMap;

use hoist_offload::Gap;
use hoist_offload::bpf::passes::lower::Change;
use hoist_offload::bpf::requirements::Site;
use hoist_offload::profile::{Demand, Origin, Rule, Unit, Verdict};

use super::plan::place;
use super::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use super::table::{Table, paragraph};
use crate::cli::lint::{LintDocument, Linted, Skipped};

/// Everything about each program of one object.
pub(crate) fn report(document: &LintDocument<'_>, verbose: bool) -> String {
    let about = &document.profile;
    let mut parts = Vec::new();
    for program in &document.programs {
        let mut text = vec![format!(
            "{} of {} on {}",
            paint(HEAD, &program.program),
            program.object,
            paint(HEAD, about.name)
        )];
        if verbose {
            text.push(paint(DIM, paragraph(2, &format!("{}: {}", about.about, about.source))));
        }
        text.extend(changes(&program.changes));
        text.extend(gaps(&program.gaps, verbose));
        text.extend(demands(&program.demands, verbose));
        text.push(verdict(program));
        parts.push(text.join("\n"));
    }
    parts.join("\n\n")
}

/// One line for each program of several objects.
pub(crate) fn table(document: &LintDocument<'_>) -> String {
    let mut table = Table::new(&["object", "program", "verdict", ">rewritten", "gaps"]);
    for program in &document.programs {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for gap in &program.gaps {
            *counts.entry(&gap.code).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .into_iter()
            .map(
                |(code, count)| {
                    if count == 1 { code.to_owned() } else { format!("{code} ({count})") }
                },
            )
            .collect();
        table.row([
            short(&program.object),
            program.program.clone(),
            word(program.verdict),
            program.changes.len().to_string(),
            counts.join(", "),
        ]);
    }
    let mut text = vec![table.render()];
    let told = |skipped: &Skipped| {
        paragraph(0, &format!("{} {}", paint(WARN, "not judged:"), skipped.why))
    };
    text.extend(document.skipped.iter().map(told));
    let refused = document.programs.iter().filter(|p| p.verdict == Verdict::Refused).count();
    text.push(format!(
        "{}: {} of {} programs refused",
        document.profile.name,
        refused,
        document.programs.len()
    ));
    text.join("\n")
}

fn changes(changes: &[Change]) -> Vec<String> {
    if changes.is_empty() {
        return Vec::new();
    }
    let mut text = vec![format!("  {}", paint(HEAD, "rewritten"))];
    for change in changes {
        let mut line = format!("{}: {}", paint(GOOD, change.rewrite), change.message);
        if let Some(site) = &change.site {
            line.push_str(&format!(" ({})", at(site)));
        }
        text.push(paragraph(4, &line));
    }
    text
}

fn at(site: &Site) -> String {
    match &site.line {
        Some(line) => format!("{}:{}, {}+{}", line.file, line.line, site.function, site.insn),
        None => format!("{}+{}", site.function, site.insn),
    }
}

/// Gaps by code: what the rule is and the remedy once, then each place.
fn gaps(gaps: &[Gap], verbose: bool) -> Vec<String> {
    if gaps.is_empty() {
        return Vec::new();
    }
    let mut text = vec![format!("  {}", paint(HEAD, "refused"))];
    let mut codes: Vec<&str> = Vec::new();
    for gap in gaps {
        if !codes.contains(&gap.code.as_str()) {
            codes.push(&gap.code);
        }
    }
    for code in codes {
        let title = Rule::ALL.iter().find(|rule| rule.code() == code).map(|rule| rule.title());
        let of_code: Vec<&Gap> = gaps.iter().filter(|gap| gap.code == code).collect();
        let heading = match title {
            Some(title) => format!("{}: {title}", paint(BAD, code)),
            None => paint(BAD, code),
        };
        text.push(paragraph(4, &heading));
        for gap in &of_code {
            text.push(paragraph(6, &gap.message));
            text.extend(place(gap).map(|place| paint(DIM, paragraph(8, &place))));
        }
        let mut told: Vec<&str> = Vec::new();
        for gap in of_code.iter().filter_map(|gap| gap.evidence.as_ref()) {
            if verbose && !told.contains(&gap.detail.as_str()) {
                told.push(&gap.detail);
                text.push(paint(DIM, paragraph(6, &format!("follows: {}", gap.detail))));
            }
        }
        let mut remedies: Vec<&str> = Vec::new();
        for remedy in of_code.iter().filter_map(|gap| gap.remedy.as_deref()) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
                text.push(paragraph(6, &format!("{} {remedy}", paint(GOOD, "remedy:"))));
            }
        }
    }
    text
}

/// What the firmware must have: what is not known first to be seen, what is met only when asked for.
fn demands(demands: &[Demand], verbose: bool) -> Vec<String> {
    let shown: Vec<&Demand> = demands
        .iter()
        .filter(|demand| demand.needs > 0 && (verbose || demand.met() != Some(true)))
        .collect();
    if shown.is_empty() {
        return Vec::new();
    }
    let mut table = Table::pairs(4);
    for demand in shown {
        let has = match (demand.met(), demand.has) {
            (Some(true), Some(has)) => {
                format!("has {} ({})", value(demand.unit, has), demand.origin)
            }
            (Some(false), Some(has)) => {
                let has = format!("has {} ({})", value(demand.unit, has), demand.origin);
                paint(BAD, has)
            }
            _ => paint(WARN, "only the card can tell"),
        };
        let needs = match demand.parameter.as_str() {
            "max_instructions" => format!("more than {}", value(demand.unit, demand.needs)),
            _ => value(demand.unit, demand.needs),
        };
        let source = if verbose || demand.origin == Origin::Assumed {
            format!("; {}", demand.source)
        } else {
            String::new()
        };
        table.row([demand.parameter.clone(), needs, format!("{has}; {}{source}", demand.about)]);
    }
    vec![format!("  {}", paint(HEAD, "needs of the firmware")), table.render()]
}

fn value(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bool => if value > 0 { "yes" } else { "no" }.to_owned(),
        Unit::Bytes => format!("{value} B"),
        Unit::Count => value.to_string(),
    }
}

fn verdict(program: &Linted) -> String {
    let mut rules: Vec<&str> = program.gaps.iter().map(|gap| gap.code.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let (count, codes) = (program.gaps.len(), rules.len());
    let gaps =
        if count == 1 { "1 gap".to_owned() } else { format!("{count} gaps of {codes} codes") };
    let text = match program.verdict {
        Verdict::Accepted => "the card takes it".to_owned(),
        Verdict::Depends => "the card takes it if its firmware has what is listed".to_owned(),
        Verdict::Refused => gaps,
    };
    format!("  {}: {text}", word(program.verdict))
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Accepted => paint(GOOD, "accepted"),
        Verdict::Depends => paint(WARN, "depends"),
        Verdict::Refused => paint(BAD, "refused"),
    }
}

/// A file's name without its directories.
fn short(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
