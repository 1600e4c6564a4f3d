//! What `hoist verify` found, for people.

use std::collections::{BTreeMap, BTreeSet};

use hoist_hwtests::conformance::report::{Evidence, Reason};
use hoist_hwtests::conformance::{CaseResult, Outcome};
use hoist_offload::Capabilities;
use hoist_offload::bpf::requirements::Need;
use hoist_offload::capability::Answer;
use hoist_offload::plan::Warning;

use super::style::{BAD, DIM, GOOD, HEAD, Style, WARN, paint};
use super::table::{Table, paragraph};
use crate::cli::verify::document::{RowResult, Summary, VerifyDocument};
use crate::cli::verify::tally::{self, Sum, Word};

/// The whole certificate.
pub(crate) fn certificate(document: &VerifyDocument<'_>, title: &str, verbose: bool) -> String {
    let mut blocks = vec![head(document, title)];
    blocks.extend(warnings(&document.warnings));
    if !document.capabilities.is_empty() {
        blocks.push(requirements(&document.capabilities, verbose));
    }
    if document.rows.is_empty() {
        blocks.push(cases(&document.engines, document.results));
    } else {
        blocks.push(rows(&document.engines, &document.rows));
    }
    blocks.extend(known(document.results));
    blocks.extend(refused(document.results));
    blocks.extend(not_run(document.results));
    blocks.extend(failures(document.results));
    blocks.push(last_line(document));
    blocks.join("\n\n")
}

fn head(document: &VerifyDocument<'_>, title: &str) -> String {
    let environment = &document.environment;
    let mut table = Table::pairs(2);
    let mut device = environment.device.clone();
    if let Some(peer) = &environment.peer {
        device.push_str(&format!(", frames sent from {peer}"));
    }
    table.row(["interface", device.as_str()]);
    let mut driver = environment.driver.clone().unwrap_or_else(|| "unknown".to_owned());
    if let Some(firmware) = &environment.firmware {
        driver.push_str(&format!(", firmware {firmware}"));
    }
    table.row(["driver", driver.as_str()]);
    if let Some(mtu) = environment.mtu_bytes {
        table.row(["mtu", &mtu.to_string()]);
    }
    if !environment.features.is_empty() {
        let on = environment.features.iter().filter(|(_, on)| **on).map(|(name, _)| name.as_str());
        let on: Vec<&str> = on.collect();
        table.row(["features on", &if on.is_empty() { "none".to_owned() } else { on.join(", ") }]);
    }
    table.row(["kernel", &format!("{} {}", environment.kernel, environment.machine)]);
    table.row(["hoist", document.hoist]);
    table.row(["date", document.date.as_str()]);
    let seen: BTreeSet<Evidence> = document
        .results
        .iter()
        .filter(|r| Word::of(&r.outcome) > Word::Refused)
        .map(|r| r.evidence)
        .collect();
    let seen: Vec<String> = seen.iter().map(Evidence::to_string).collect();
    table.row(["evidence", &if seen.is_empty() { "none".to_owned() } else { seen.join(", ") }]);
    format!("{}\n{}", paint(HEAD, title), table.render())
}

/// What must be known before the results are read.
fn warnings(told: &[Warning]) -> Option<String> {
    let lines = told.iter().map(|Warning { code, message, remedy }| {
        let next = remedy.as_ref().map_or_else(String::new, |next| format!("; {next}"));
        format!(
            "{} {code}: {}",
            paint(WARN, "note"),
            paragraph(2, &format!("{message}{next}")).trim_start()
        )
    });
    (!told.is_empty()).then(|| lines.collect::<Vec<_>>().join("\n"))
}

/// What each engine can do there, requirement by requirement.
fn requirements(engines: &[Capabilities], verbose: bool) -> String {
    let mut table = Table::new(&["requirement", "engine", "answer", "known by"]);
    for engine in engines {
        // Helpers and map types are those of the kernel; 'hoist probe --full' lists them.
        let told = engine.answers.iter().filter(|answer| {
            verbose || !matches!(answer.need, Need::Helper(_) | Need::MapType(_) | Need::Kfunc(_))
        });
        for answer in told {
            let (style, word) = match answer.answer {
                Answer::Yes => (GOOD, "yes"),
                Answer::No => (BAD, "no"),
                Answer::Unknown => (WARN, "unknown"),
            };
            let evidence = &answer.evidence;
            table.row([
                hoist_offload::names::need(&answer.need),
                engine.engine.to_string(),
                paint(style, word),
                super::plan::evidence_kind(evidence.kind).to_owned(),
            ]);
        }
    }
    table.render()
}

fn style(word: Word) -> Style {
    match word {
        Word::Passed => GOOD,
        Word::Failed => BAD,
        Word::Differs => WARN,
        Word::Refused | Word::NotRun => DIM,
    }
}

/// One word, and by a letter how it was seen.
fn cell(sum: &Sum) -> String {
    let letters: String = sum
        .evidence
        .iter()
        .map(|evidence| match evidence {
            Evidence::RealTraffic => 'r',
            Evidence::TestRun => 't',
        })
        .collect();
    let text = paint(style(sum.outcome), sum.outcome.text());
    if letters.is_empty() { text } else { format!("{text} {}", paint(DIM, letters)) }
}

fn rows(engines: &[&'static str], rows: &[RowResult]) -> String {
    let head: Vec<&str> = [""].into_iter().chain(engines.iter().copied()).collect();
    let mut table = Table::new(&head);
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = &row.section;
            table.row([paint(HEAD, section)]);
        }
        let cells = engines.iter().map(|e| row.engines.get(e).map(cell).unwrap_or_default());
        table.row([format!("  {}", row.id)].into_iter().chain(cells));
    }
    format!("{}\n{}", table.render(), paint(DIM, "r: real traffic; t: test run"))
}

fn cases(engines: &[&'static str], results: &[CaseResult]) -> String {
    let head: Vec<&str> = [""].into_iter().chain(engines.iter().copied()).collect();
    let mut table = Table::new(&head);
    let mut by_case: Vec<(&str, BTreeMap<&str, Vec<&CaseResult>>)> = Vec::new();
    for result in results {
        if !by_case.iter().any(|(case, _)| *case == result.case) {
            by_case.push((&result.case, BTreeMap::new()));
        }
        if let Some((_, of)) = by_case.iter_mut().find(|(case, _)| *case == result.case) {
            of.entry(result.engine_name()).or_default().push(result);
        }
    }
    for (case, of) in &by_case {
        let cells = engines.iter().map(|engine| {
            of.get(engine).map(|all| cell(&tally::sum(all.iter().copied()))).unwrap_or_default()
        });
        table.row([(*case).to_owned()].into_iter().chain(cells));
    }
    format!("{}\n{}", table.render(), paint(DIM, "r: real traffic; t: test run"))
}

/// Known differences, each code once, with the engines and how often.
fn known(results: &[CaseResult]) -> Option<String> {
    let reason = |result: &CaseResult| match &result.outcome {
        Outcome::Differs { known: Some(reason), .. } => Some(reason.clone()),
        _ => None,
    };
    let codes = reasons(results, reason);
    listed("Differs, as known", &codes)
}

fn refused(results: &[CaseResult]) -> Option<String> {
    let reason = |result: &CaseResult| match &result.outcome {
        Outcome::Refused { known: Some(reason), .. } => Some(reason.clone()),
        _ => None,
    };
    listed("Refused, as known", &reasons(results, reason))
}

/// Reasons by code and words, with the engines they hold for and how many results have them.
type Reasons = BTreeMap<(String, String), (Reason, BTreeSet<&'static str>, usize)>;

fn reasons(results: &[CaseResult], of: impl Fn(&CaseResult) -> Option<Reason>) -> Reasons {
    let mut all = Reasons::new();
    for result in results {
        if let Some(reason) = of(result) {
            let key = (reason.code.clone(), reason.why.clone());
            let entry = all.entry(key).or_insert_with(|| (reason, BTreeSet::new(), 0));
            entry.1.insert(result.engine_name());
            entry.2 += 1;
        }
    }
    all
}

fn listed(title: &str, reasons: &Reasons) -> Option<String> {
    if reasons.is_empty() {
        return None;
    }
    let mut text = paint(HEAD, title);
    for ((code, _), (reason, engines, count)) in reasons {
        let engines: Vec<&str> = engines.iter().copied().collect();
        let times = if *count == 1 { String::new() } else { format!(", {count} times") };
        let line = format!("{} ({}{times}): {}", paint(WARN, code), engines.join(", "), reason.why);
        text.push('\n');
        text.push_str(&paragraph(2, &line));
        if !reason.source.is_empty() {
            text.push('\n');
            text.push_str(&paint(DIM, paragraph(4, &reason.source)));
        }
    }
    Some(text)
}

/// Why things were not tried, each reason once.
fn not_run(results: &[CaseResult]) -> Option<String> {
    let mut whys: BTreeMap<&str, (BTreeSet<&'static str>, usize)> = BTreeMap::new();
    for result in results {
        if let Outcome::NotRun { why } = &result.outcome {
            let entry = whys.entry(why).or_default();
            entry.0.insert(result.engine_name());
            entry.1 += 1;
        }
    }
    if whys.is_empty() {
        return None;
    }
    let mut text = paint(HEAD, "Not run");
    for (why, (engines, count)) in whys {
        let engines: Vec<&str> = engines.into_iter().collect();
        text.push('\n');
        text.push_str(&paragraph(2, &format!("{count} on {}: {why}", engines.join(", "))));
    }
    Some(text)
}

/// What nobody explained; what several engines do alike stands once.
fn failures(results: &[CaseResult]) -> Option<String> {
    let mut failures: Vec<(&str, Evidence, Vec<String>, Vec<&str>)> = Vec::new();
    for result in results.iter().filter(|result| !result.outcome.is_explained()) {
        let reasons: Vec<String> = match &result.outcome {
            Outcome::Differs { differences, .. } => differences.clone(),
            Outcome::Refused { gaps, .. } => {
                gaps.iter().map(|gap| format!("refused: {}: {}", gap.code, gap.message)).collect()
            }
            Outcome::Passed | Outcome::NotRun { .. } => Vec::new(),
        };
        let alike = failures.iter_mut().find(|(case, evidence, others, _)| {
            *case == result.case && *evidence == result.evidence && *others == reasons
        });
        match alike {
            Some((.., engines)) => engines.push(result.engine_name()),
            None => {
                let engines = vec![result.engine_name()];
                failures.push((&result.case, result.evidence, reasons, engines));
            }
        }
    }
    if failures.is_empty() {
        return None;
    }
    let mut text = paint(HEAD, "Failed");
    for (case, evidence, reasons, engines) in failures {
        let line = format!("{} on {}, {evidence}", paint(BAD, case), engines.join(", "));
        text.push('\n');
        text.push_str(&paragraph(2, &line));
        for reason in reasons {
            text.push('\n');
            text.push_str(&paragraph(4, &reason));
        }
    }
    Some(text)
}

fn last_line(document: &VerifyDocument<'_>) -> String {
    let Summary { passed, differs_known, refused, not_run, failed } = document.summary;
    let mut parts = vec![format!("{passed} passed")];
    for (count, words) in
        [(differs_known, "differ as known"), (refused, "refused"), (not_run, "not run")]
    {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    let verdict = match (failed, document.stopped) {
        (0, false) if passed + differs_known == 0 => paint(WARN, "nothing was run"),
        (0, false) => paint(GOOD, "holds"),
        (0, true) => paint(WARN, "stopped before the end"),
        _ => paint(BAD, format!("{failed} FAILED")),
    };
    format!("{verdict}: {}", parts.join(", "))
}
