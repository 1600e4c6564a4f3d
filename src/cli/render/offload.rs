//! What an offload device takes, as text.

use std::collections::BTreeMap;

use hoist_offload::capability::Answer;
use hoist_offload::fact::Fact;
use hoist_offload::host::{Finding, Limit, OffloadReport, ProgramReport};

use super::style::{BAD, GOOD, HEAD, WARN, paint};
use super::table::Table;

/// How much is listed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Counts, and what the driver refuses in its own words.
    Summary,
    /// Everything that is refused or unknown, with its reason.
    Refused,
    /// What is taken, too.
    All,
}

/// Rows for the interface's table.
pub(crate) fn rows(report: &OffloadReport, table: &mut Table) {
    let declared = report.declared.iter().map(|(name, fact)| match fact {
        Fact::Known { value, .. } => format!("{name}: {}", value.trim()),
        Fact::Unknown { why } => format!("{name}: unknown ({why})"),
    });
    table.row(["declared", &declared.collect::<Vec<_>>().join("; ")]);
    let executes = &report.executes;
    table.row([
        "executes",
        &match executes.answer {
            Answer::Yes => format!("yes ({})", executes.evidence.detail),
            Answer::No => format!("{} ({})", paint(BAD, "no"), executes.evidence.detail),
            Answer::Unknown => "unknown: only traffic through the device would tell".to_owned(),
        },
    ]);
    let mut places: Vec<String> = Vec::new();
    for (name, finding) in &report.free {
        let (word, style) = match finding.answer {
            Answer::Yes => ("free", GOOD),
            Answer::No => ("in use", WARN),
            Answer::Unknown => ("unknown", WARN),
        };
        places.push(format!("{name} {} ({})", paint(style, word), finding.evidence.detail));
    }
    table.row(["places", &places.join("; ")]);
    for (kind, program) in &report.programs {
        table.row([kind.as_str(), &counts(program)]);
    }
    let maps = report.map_limits.iter().map(|(kind, limits)| format!("{kind}: {}", words(limits)));
    let maps: Vec<String> = maps.collect();
    if !maps.is_empty() {
        table.row(["maps", &maps.join("; ")]);
    }
    table.row(["tried", &format!("{} facts in {} trial loads", report.facts(), report.trials)]);
}

fn counts(program: &ProgramReport) -> String {
    let sections = program.sections();
    let counted = sections.iter().filter(|(_, f)| !f.is_empty()).map(|(name, findings)| {
        let yes = findings.values().filter(|f| f.answer == Answer::Yes).count();
        format!("{name} {yes} of {}", findings.len())
    });
    let mut text = counted.collect::<Vec<_>>().join(", ");
    text.push_str(&format!("; {}", words(&program.limits)));
    text
}

fn words(limits: &BTreeMap<String, Limit>) -> String {
    let limit = |(name, limit): (&String, &Limit)| match (limit.taken, limit.refused) {
        (Some(taken), Some(_)) => format!("{name} at most {taken}"),
        (Some(taken), None) => format!("{name} {taken} or more"),
        (None, _) => format!("{name}: refused ({})", limit.evidence.detail),
    };
    limits.iter().map(limit).collect::<Vec<_>>().join(", ")
}

/// Lists below the interface's table, by program type and by map types.
pub(crate) fn lists(report: &OffloadReport, detail: Detail) -> String {
    let mut text = String::new();
    for (kind, program) in &report.programs {
        for (section, findings) in program.sections() {
            list(&mut text, &format!("offload {kind} {section}"), findings, detail);
        }
    }
    list(&mut text, "offload map types", &report.map_types, detail);
    text
}

fn list(text: &mut String, name: &str, findings: &BTreeMap<String, Finding>, detail: Detail) {
    let mut groups: Vec<(Answer, &str, Vec<&str>)> = Vec::new();
    for (name, finding) in findings {
        let reason = match finding.answer {
            Answer::Yes if detail < Detail::All => continue,
            Answer::Yes => "",
            // A driver's own words are the card's, not the kernel's.
            _ if detail == Detail::Summary && !finding.evidence.detail.starts_with('[') => continue,
            _ => finding.evidence.detail.as_str(),
        };
        match groups.iter_mut().find(|(a, r, _)| (*a, *r) == (finding.answer, reason)) {
            Some((.., names)) => names.push(name),
            None => groups.push((finding.answer, reason, vec![name])),
        }
    }
    if groups.is_empty() {
        return;
    }
    groups.sort_by_key(|(answer, ..)| *answer != Answer::Yes);
    let mut table = Table::pairs(4);
    for (answer, reason, names) in groups {
        let (word, style) = match answer {
            Answer::Yes => ("yes", GOOD),
            Answer::No => ("no", BAD),
            Answer::Unknown => ("unknown", WARN),
        };
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        table.row([paint(style, word), format!("{}{why}", names.join(", "))]);
    }
    text.push_str(&format!("\n  {}\n{}", paint(HEAD, name), table.render()));
}
