//! The host as text.

use std::collections::BTreeMap;

use hoist_offload::capability::Answer;
use hoist_offload::fact::Fact;
use hoist_offload::host::HostReport;
use hoist_offload::host::report::Finding;

use super::style::{BAD, GOOD, HEAD, WARN, paint};
use super::table::Table;

/// The host's screen; `full` lists everything by name.
pub(crate) fn host(report: &HostReport, full: bool) -> String {
    let mut table = Table::pairs(2);
    table
        .row(["kernel", &format!("{} on {}, {} CPUs", report.kernel, report.machine, report.cpus)]);
    table.row(["jit", &settings(&report.jit)]);
    table.row([
        "btf",
        &match &report.btf_bytes {
            Fact::Known { value: 0, .. } => {
                "none: programs with CO-RE cannot be resolved".to_owned()
            }
            Fact::Known { value, .. } => format!("{} KiB of kernel types", value / 1024),
            Fact::Unknown { why } => format!("unknown: {why}"),
        },
    ]);
    table.row(["bpf()", &permission(report)]);
    let caps: Vec<String> = report
        .capabilities
        .iter()
        .map(|(name, has)| {
            paint(
                if *has { GOOD } else { WARN },
                format!("{}{name}", if *has { "" } else { "no " }),
            )
        })
        .collect();
    table.row(["privilege", &caps.join(", ")]);
    let groups = groups(report);
    for (name, group) in &groups {
        table.row([*name, &counts(group)]);
    }
    let mut text = format!("{}\n{}", paint(HEAD, "host"), table.render());
    if full {
        for (name, group) in &groups {
            text.push('\n');
            text.push_str(&list(name, group));
        }
    } else {
        for (name, group) in groups.iter().filter(|(name, _)| *name == "features") {
            text.push('\n');
            text.push_str(&list(name, group));
        }
    }
    text
}

fn groups(report: &HostReport) -> Vec<(&'static str, &BTreeMap<String, Finding>)> {
    vec![
        ("programs", &report.program_types),
        ("maps", &report.map_types),
        ("xdp helpers", &report.xdp_helpers),
        ("tc helpers", &report.tc_helpers),
        ("kfuncs", &report.kfuncs),
        ("features", &report.features),
    ]
}

fn settings(settings: &BTreeMap<String, Fact<i64>>) -> String {
    let words = settings.iter().map(|(name, fact)| {
        let short = name.rsplit('.').next().unwrap_or(name);
        match fact {
            Fact::Known { value, .. } => format!("{short}={value}"),
            Fact::Unknown { why } => format!("{short} unknown ({why})"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn permission(report: &HostReport) -> String {
    let word = match report.bpf_syscall.answer {
        Answer::Yes => paint(GOOD, "permitted"),
        Answer::No => paint(BAD, "not permitted"),
        Answer::Unknown => paint(WARN, "unknown"),
    };
    let unprivileged = match report.unprivileged_bpf_disabled.value() {
        Some(0) => ", unprivileged users may load socket filters",
        _ => "",
    };
    format!("{word} ({}){unprivileged}", report.bpf_syscall.evidence.detail)
}

fn counts(group: &BTreeMap<String, Finding>) -> String {
    let count = |answer| group.values().filter(|f| f.answer == answer).count();
    let mut text = format!("{} of {} there", count(Answer::Yes), group.len());
    let unknown = count(Answer::Unknown);
    if unknown > 0 {
        text.push_str(&format!(", {unknown} unknown"));
        let why = group.values().find(|f| f.answer == Answer::Unknown);
        text.push_str(&why.map(|f| format!(" ({})", f.evidence.detail)).unwrap_or_default());
    }
    text
}

fn list(name: &str, group: &BTreeMap<String, Finding>) -> String {
    let mut table = Table::pairs(2);
    for (answer, word, style) in
        [(Answer::Yes, "yes", GOOD), (Answer::No, "no", BAD), (Answer::Unknown, "unknown", WARN)]
    {
        let names: Vec<&str> =
            group.iter().filter(|(_, f)| f.answer == answer).map(|(n, _)| n.as_str()).collect();
        if !names.is_empty() {
            table.row([paint(style, word), names.join(", ")]);
        }
    }
    format!("{}\n{}", paint(HEAD, name), table.render())
}
