//! The conformance suite on every engine that runs here, on a veth of its own: nothing may differ that
//! the cases do not name, and everything they name must show.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hoist_hwtests::conformance::report::{Evidence, Tally};
use hoist_hwtests::conformance::{Options, Outcome, Report, Source, run, run_for, suite};
use hoist_hwtests::dut::has_hook;
use hoist_hwtests::require;
use hoist_offload::{Registry, Wanted};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn on(engines: &[&str], sources: &[Source]) -> Report {
    let engines = engines.iter().map(|e| e.parse::<Wanted>().unwrap());
    let options = Options {
        engines: engines.filter(|wanted| has_hook(*wanted)).collect(),
        evidence: vec![Evidence::RealTraffic, Evidence::TestRun],
        given: None,
    };
    run(sources, &options, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Results that nothing explains, in words.
fn unexplained(report: &Report) -> Vec<String> {
    let wrong = report.results.iter().filter(|r| !r.outcome.is_explained());
    wrong
        .map(|r| {
            let what = match &r.outcome {
                Outcome::Differs { differences, .. } => differences.join("\n    "),
                Outcome::Refused { gaps, .. } => {
                    gaps.iter().map(|g| format!("refused, {}: {g}", g.code)).collect()
                }
                other => format!("{other:?}"),
            };
            format!("{} on {} by {}:\n    {what}", r.case, r.engine_name(), r.evidence)
        })
        .collect()
}

/// How many results were not run, by reason.
fn not_run(report: &Report) -> Vec<String> {
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for result in &report.results {
        if let Outcome::NotRun { why } = &result.outcome {
            *reasons.entry((result.engine_name(), why)).or_default() += 1;
        }
    }
    let lines = reasons.into_iter();
    lines.map(|((engine, why), count)| format!("{count} not run on {engine}: {why}")).collect()
}

#[test]
fn every_case_comes_out_as_written() {
    if !require::veth("every_case_comes_out_as_written") {
        return;
    }
    let filter = std::env::var("HOIST_CASES").unwrap_or_default();
    let engines = std::env::var("HOIST_ENGINES").unwrap_or("native,generic,tcx,clsact".to_owned());
    let engines: Vec<&str> = engines.split(',').collect();
    let mut sources = suite::builtin().unwrap();
    sources.retain(|s| s.name.contains(&filter));
    let start = Instant::now();
    let report = on(&engines, &sources);
    let mut tally: BTreeMap<Tally, usize> = BTreeMap::new();
    for result in &report.results {
        *tally.entry(result.outcome.tally()).or_default() += 1;
    }
    println!("{} results in {:?}: {tally:?}", report.results.len(), start.elapsed());
    for why in not_run(&report) {
        println!("{why}");
    }
    let wrong = unexplained(&report);
    assert!(wrong.is_empty(), "{} unexplained:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_program_has_cases() {
    let sources = suite::builtin().unwrap();
    let with: BTreeSet<&str> = sources.iter().map(|s| s.file.program.as_str()).collect();
    let ours = hoist_bpf::programs::LIST.iter().map(|p| p.name);
    let all = ours.chain(hoist_hwtests::programs::LIST.iter().map(|p| p.name));
    let without: Vec<&str> = all.filter(|name| !with.contains(name)).collect();
    assert!(without.is_empty(), "no cases for {without:?}");
}

#[test]
fn case_files_follow_their_schema() {
    let path = directory("../docs/schemas/cases.v1.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for entry in std::fs::read_dir(directory("cases")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let value: toml::Value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

/// A vendor's command proves its own engines, not those that come with hoist.
#[test]
fn the_suite_asks_the_engines_of_the_registry_that_it_is_given() {
    if !require::veth("the_suite_asks_the_engines_of_the_registry_that_it_is_given") {
        return;
    }
    let text = "title = 't'\nprogram = 'pass'\n[[case]]\nname = 'c'\nverdict = 'pass'\n\
                send = \"eth far > near / ipv4 far > near / udp 1000 > 2000 / 'hello'\"";
    let sources = [Source::parse("t", None, text).unwrap()];
    let options = Options {
        engines: vec!["native".parse().unwrap()],
        evidence: vec![Evidence::TestRun],
        given: None,
    };
    let report =
        run_for(&Registry::new(), &sources, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let [result] = &report.results[..] else { panic!("{report:?}") };
    let Outcome::Refused { gaps, .. } = &result.outcome else { panic!("{result:?}") };
    assert_eq!(gaps[0].code, "engine-missing");
}
