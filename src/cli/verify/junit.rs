//! Results as JUnit XML, the form that every CI server shows.
//!
//! One suite per engine, one test case per result. What was not run is skipped; a known difference and
//! a known refusal pass, with the reason in the output.

use std::fmt::{self, Write as _};

use hoist_hwtests::conformance::{CaseResult, Outcome, Report};

/// The whole file.
pub(super) fn document(report: &Report, date: &str) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = suites(&mut xml, report, date);
    xml
}

fn suites(xml: &mut String, report: &Report, date: &str) -> fmt::Result {
    let all: Vec<&CaseResult> = report.results.iter().collect();
    writeln!(xml, "<testsuites name=\"hoist\"{}>", Counts::of(&all))?;
    let mut engines: Vec<&str> = Vec::new();
    for result in &all {
        if !engines.contains(&result.engine_name()) {
            engines.push(result.engine_name());
        }
    }
    for engine in engines {
        let of_it: Vec<&CaseResult> =
            all.iter().copied().filter(|r| r.engine_name() == engine).collect();
        suite(xml, report, engine, &of_it, date)?;
    }
    writeln!(xml, "</testsuites>")
}

fn suite(
    xml: &mut String,
    report: &Report,
    engine: &str,
    results: &[&CaseResult],
    date: &str,
) -> fmt::Result {
    let counts = Counts::of(results);
    // The schema that servers check has no zone.
    let stamp = escaped(date.trim_end_matches('Z'));
    writeln!(xml, "  <testsuite name=\"hoist.{engine}\"{counts} timestamp=\"{stamp}\">")?;
    let environment = &report.environment;
    let properties = [
        ("kernel", environment.kernel.as_str()),
        ("machine", environment.machine.as_str()),
        ("device", environment.device.as_str()),
        ("driver", environment.driver.as_deref().unwrap_or_default()),
        ("hoist", environment.hoist.as_str()),
    ];
    writeln!(xml, "    <properties>")?;
    for (name, value) in properties {
        writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value))?;
    }
    writeln!(xml, "    </properties>")?;
    for result in results {
        case(xml, engine, result)?;
    }
    writeln!(xml, "  </testsuite>")
}

fn case(xml: &mut String, engine: &str, result: &CaseResult) -> fmt::Result {
    let (file, name) = result.case.split_once('/').unwrap_or(("", &result.case));
    let (class, name) = (escaped(&format!("{engine}.{file}")), escaped(name));
    let evidence = result.evidence;
    write!(xml, "    <testcase classname=\"{class}\" name=\"{name} [{evidence}]\"")?;
    let body = body(&result.outcome);
    if body.is_empty() {
        return writeln!(xml, "/>");
    }
    writeln!(xml, ">\n      {body}\n    </testcase>")
}

/// What stands inside a test case; nothing when it simply passed.
fn body(outcome: &Outcome) -> String {
    let failure = |kind: &str, reasons: &[String]| {
        let first = reasons.first().map(String::as_str).unwrap_or_default();
        format!(
            "<failure type=\"{kind}\" message=\"{}\">{}</failure>",
            escaped(first),
            escaped(&reasons.join("\n"))
        )
    };
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Differs { known: Some(reason), .. }
        | Outcome::Refused { known: Some(reason), .. } => {
            let text = format!("{}: {} ({})", reason.code, reason.why, reason.source);
            format!("<system-out>{}</system-out>", escaped(&text))
        }
        Outcome::Differs { known: None, differences } => failure("differs", differences),
        Outcome::Refused { known: None, gaps } => {
            let reasons: Vec<String> =
                gaps.iter().map(|gap| format!("{}: {}", gap.code, gap.message)).collect();
            failure("refused", &reasons)
        }
        Outcome::NotRun { why } => format!("<skipped message=\"{}\"/>", escaped(why)),
    }
}

/// The attributes that sum up.
struct Counts {
    tests: usize,
    failures: usize,
    skipped: usize,
}

impl Counts {
    fn of(results: &[&CaseResult]) -> Self {
        let count = |is: fn(&Outcome) -> bool| results.iter().filter(|r| is(&r.outcome)).count();
        Self {
            tests: results.len(),
            failures: count(|outcome| !outcome.is_explained()),
            skipped: count(|outcome| matches!(outcome, Outcome::NotRun { .. })),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tests, failures, skipped } = self;
        write!(f, " tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"")
    }
}

/// Text as it may stand in an attribute and between tags. What XML cannot hold at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use hoist_hwtests::conformance::report::{Environment, Evidence, Reason};
    use hoist_offload::{EngineKind, Gap, Hook};

    use super::*;

    fn result(hook: Hook, case: &str, outcome: Outcome) -> CaseResult {
        CaseResult {
            case: case.to_owned(),
            program: "filter".to_owned(),
            engine: if hook == Hook::Xdp { EngineKind::Native } else { EngineKind::Tc },
            hook,
            device: "v0".to_owned(),
            evidence: Evidence::RealTraffic,
            rows: Vec::new(),
            outcome,
        }
    }

    fn report(results: Vec<CaseResult>) -> Report {
        let environment = Environment { kernel: "6.18 <rc>".to_owned(), ..Environment::default() };
        Report { environment, results }
    }

    #[test]
    fn servers_can_read_it_whatever_the_texts_hold() {
        let reason = Reason { code: "a-b".into(), why: "x < y".into(), source: "net/".into() };
        let text = document(
            &report(vec![
                result(Hook::Xdp, "f/\"a\" & <b>\u{1}", Outcome::Passed),
                result(
                    Hook::Xdp,
                    "f/c",
                    Outcome::Differs {
                        known: None,
                        differences: vec!["line 1\nline 2".into(), "]]>".into()],
                    },
                ),
                result(Hook::Tcx, "f/d", Outcome::NotRun { why: "no 'root'".into() }),
                result(
                    Hook::Tcx,
                    "f/e",
                    Outcome::Refused { known: None, gaps: vec![Gap::new("g-h", "cannot & so")] },
                ),
                result(
                    Hook::Tcx,
                    "f/i",
                    Outcome::Differs { known: Some(reason), differences: vec![] },
                ),
            ]),
            "2026-01-02T03:04:05Z",
        );
        let xml = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        let root = xml.root_element();
        let count = |node: roxmltree::Node<'_, '_>| {
            ["tests", "failures", "errors", "skipped"].map(|name| {
                node.attribute(name).and_then(|n| n.parse::<usize>().ok()).expect("a number")
            })
        };
        assert_eq!(count(root), [5, 2, 0, 1]);
        let suites: Vec<_> = root.children().filter(|n| n.has_tag_name("testsuite")).collect();
        let names: Vec<_> = suites.iter().filter_map(|s| s.attribute("name")).collect();
        assert_eq!(names, ["hoist.native", "hoist.tcx"]);
        assert_eq!((count(suites[0]), count(suites[1])), ([2, 1, 0, 0], [3, 1, 0, 1]));
        assert_eq!(suites[0].attribute("timestamp"), Some("2026-01-02T03:04:05"));
        let cases: Vec<_> = xml.descendants().filter(|n| n.has_tag_name("testcase")).collect();
        assert_eq!(cases[0].attribute("name"), Some("\"a\" & <b>\u{fffd} [real traffic]"));
        assert_eq!(cases[0].attribute("classname"), Some("native.f"));
        let failures: Vec<_> = xml.descendants().filter(|n| n.has_tag_name("failure")).collect();
        assert_eq!(failures[0].text(), Some("line 1\nline 2\n]]>"));
        assert_eq!(failures[0].attribute("message"), Some("line 1\nline 2"));
        assert_eq!(failures[1].attribute("message"), Some("g-h: cannot & so"));
        let skipped = cases[2].first_element_child().expect("skipped");
        assert_eq!(skipped.attribute("message"), Some("no 'root'"));
        let known = cases[4].first_element_child().expect("a note");
        assert_eq!(known.text(), Some("a-b: x < y (net/)"));
    }
}
