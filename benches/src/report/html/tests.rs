use super::*;
use crate::report::{Floor, Search, Step, sample};
use crate::search::Ended;
use crate::trial::{Entry, Fate, Finding, Ledger, Severity, Witness};

/// Tags that are opened and not closed, or closed and not opened.
fn unbalanced(page: &str) -> Vec<String> {
    const VOID: [&str; 10] = [
        "meta", "br", "!doctype", "line", "circle", "rect", "polygon", "polyline", "path", "input",
    ];
    let (mut open, mut wrong): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(name) if open.last().is_some_and(|last| last == name) => drop(open.pop()),
            Some(name) => wrong.push(format!("/{name}")),
            None if VOID.contains(&name) => {}
            None => open.push(name.to_owned()),
        }
    }
    wrong.extend(open);
    wrong
}

#[test]
fn the_page_stands_alone_and_holds_everything() {
    let page = page(&sample::report(1));
    assert_eq!(unbalanced(&page), [""; 0]);
    for part in [
        "native ran 1.9x the rate of user (af_xdp)",
        "Rate by engine and frame size",
        "Loss against offered load",
        "Latency by percentile",
        "Run-to-run spread",
        "generator and program share processor 0",
        "give the device a core of its own",
        "ethtool -K v0 gro on",
        "generator alone",
        "AMD EPYC 9R45",
        "PDR (RFC 9971)",
        "simulation: received",
        "100G",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "the page lacks {part:?}");
    }
    for part in ["http:", "https:", "<script", "url(", "@import", "src=", "NaN", "inf"] {
        let elsewhere = page.replace(STYLE, "").replace("http-equiv", "");
        assert!(!elsewhere.contains(part), "the page has {part:?}");
    }
    assert!(page.len() < 400_000, "{} bytes", page.len());
    if let Ok(path) = std::env::var("HOIST_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn names_cannot_break_out_of_their_places() {
    const EVIL: &str = "</td><script>alert(1)</script>\"' onload='x' &amp; \u{202e}\u{0}";
    let mut report = sample::report(1);
    let evil = || EVIL.to_owned();
    report.schema = evil();
    report.interrupted = true;
    report.environment.hoist = evil();
    report.environment.kernel = evil();
    report.environment.started = evil();
    report.environment.command = vec![evil()];
    report.environment.machine.insert(evil(), evil());
    report.environment.devices.insert(evil(), [(evil(), evil())].into());
    report.recipe = vec![Step { command: evil(), why: evil(), before: Some(evil()) }];
    let pps = report.floors[0].pps;
    report.floors = vec![Floor { name: evil(), about: evil(), pps }];
    let mut finding = report.findings[0].clone();
    (finding.code, finding.message, finding.advice) = (evil(), evil(), Some(evil()));
    report.findings.push(finding.clone());
    for cell in &mut report.results {
        (cell.engine, cell.hook, cell.program, cell.profile) = (evil(), evil(), evil(), evil());
        cell.findings.push(finding.clone());
        if let Search::Mlr { goals, .. } = &mut cell.search {
            goals[0].goal.name = evil();
        }
        let stage = &mut cell.ledger.stages[0];
        stage.name = evil();
        stage.came.counter = evil();
        stage.out.push(Entry { fate: Fate::Pass, packets: 0, counter: evil() });
        let witness = Witness { counter: evil(), packets: 1, confirms: evil(), expected: 2 };
        cell.ledger.witnesses = vec![witness];
    }
    report.results[0].ended = crate::search::Ended::Failed(evil());
    report.results[1].measured_by = "criterion".to_owned();
    let page = page(&report);
    assert_eq!(unbalanced(&page), [""; 0]);
    assert!(!page.contains("<script") && !page.contains("onload='x'"));
    assert!(!page.contains('\u{202e}') && !page.contains('\0'));
    assert!(page.contains("&lt;script&gt;") && page.contains("&amp;amp;"));
}

#[test]
fn a_report_without_results_is_a_page_too() {
    let mut report = sample::report(1);
    report.results.clear();
    assert_eq!(unbalanced(&page(&report)), [""; 0]);
    let mut report = sample::report(1);
    for cell in &mut report.results {
        (cell.pps, cell.latency) = (None, None);
        cell.rates.clear();
        cell.trials.clear();
        cell.search = Search::None;
    }
    let page = page(&report);
    assert!(unbalanced(&page).is_empty() && !page.contains("<figure"));
}

#[test]
fn numbers_are_short_and_never_mislead() {
    for (pps, places, shown) in [
        (7_031_234.0, 3, "7.031"),
        (5e6, 2, "5"),
        (148.81e6, 3, "148.8"),
        (1.5e9, 3, "1500"),
        (7e6, 4, "7.0000"),
    ] {
        assert_eq!(mpps(pps, places), shown);
    }
    for (part, shown) in
        [(0.0, "0"), (0.000_001, "< 0.001 %"), (0.005, "0.500 %"), (1.0, "100.000 %")]
    {
        assert_eq!(exact(part), shown);
    }
    for (ns, shown) in [(51.0, "51 ns"), (1_500.0, "1.5 µs"), (2e6, "2 ms"), (3.2e9, "3.2 s")] {
        assert_eq!(charts::duration(ns), shown);
    }
}

#[test]
fn a_cell_without_a_valid_trial_shows_no_balance() {
    let mut report = sample::report(1);
    report.results.truncate(1);
    let cell = &mut report.results[0];
    let good = "<span class=\"good\">0</span>";
    let row = |cell: &Measurement| super::tables::results(&[cell]);
    assert!(row(cell).contains(good) && !row(cell).contains("no valid trial"));
    cell.pps = None;
    cell.ledger = Ledger::default();
    cell.rejected = cell.trials.len();
    for trial in &mut cell.trials {
        trial.findings.push(Finding {
            code: "busy-machine".to_owned(),
            severity: Severity::Invalid,
            message: String::new(),
            advice: None,
        });
    }
    for ended in [Ended::Rejected, Ended::Complete] {
        cell.ended = ended;
        let row = row(cell);
        assert!(!row.contains(good) && row.matches("no valid trial").count() == 1, "{row}");
    }
}

#[test]
fn what_was_not_forwarded_stands_in_the_row() {
    let mut report = sample::report(1);
    let cell = &mut report.results[0];
    let came = cell.ledger.stages[0].came.packets;
    assert!(!super::tables::results(&[&*cell]).contains("not forwarded"));
    cell.ledger.stages[0].out.push(Entry {
        fate: Fate::NotForwarded,
        packets: came,
        counter: "c".to_owned(),
    });
    let cell = &report.results[0];
    assert!(super::tables::results(&[cell]).contains("100.0 % not forwarded"));
    assert!(super::tables::ledgers(&[cell]).contains("&emsp;not forwarded"));
}
