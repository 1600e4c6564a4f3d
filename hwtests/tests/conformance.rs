//! The conformance suite on every engine that runs here, on a veth of its own: nothing may differ that
//! the cases do not name, and everything they name must show.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use hoist_hwtests::conformance::report::{Evidence, Tally};
use hoist_hwtests::conformance::{
    CaseResult, Options, Outcome, Report, Source, run, run_for, suite,
};
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

/// Every case on the engines that are asked for, or on all; once for all tests that look at it.
static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let filter = std::env::var("HOIST_CASES").unwrap_or_default();
    let engines = std::env::var("HOIST_ENGINES").unwrap_or(ENGINES.to_owned());
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
    report
});

const ENGINES: &str = "native,generic,tcx,clsact,af_xdp,af_packet";

#[test]
fn every_case_comes_out_as_written() {
    if !require::veth("every_case_comes_out_as_written") {
        return;
    }
    for why in not_run(&REPORT) {
        println!("{why}");
    }
    let wrong = unexplained(&REPORT);
    assert!(wrong.is_empty(), "{} unexplained:\n{}", wrong.len(), wrong.join("\n"));
}

/// Case files that do not come out as on a NIC when the machine itself runs them (it does so twice,
/// interpreted and compiled), each with the code of its refusal: what they ask is the kernel's.
const MACHINE: [(&str, &str); 2] = [
    // Sockets.
    ("lookups", "missing-helper"),
    // The driver's receive descriptor.
    ("rx_hash", "missing-feature"),
];

/// Those that do not with traffic behind an AF_XDP socket: what a driver and a socket buffer know of a
/// frame beyond its bytes.
const AF_XDP: [(&str, &str); 11] = [
    ("frags_jumbo", "reinjection-loops"),
    ("gro", "half-checksum-passed"),
    ("lookups", "missing-helper"),
    ("merged", "half-checksum-passed"),
    ("onlookers", "exceptions-not-traced"),
    ("partial_tx", "tx-checksum-partial"),
    ("pass_jumbo", "reinjection-loops"),
    ("ranges_jumbo", "reinjection-loops"),
    ("receive_hash", "receive-hash-lost"),
    ("rx_hash", "missing-feature"),
    ("tag_beside", "vlan-stripped"),
];

/// Those that the packet socket runs at all, since their programs pass nothing to the stack.
const AF_PACKET: [&str; 9] = [
    "broadcast_hash",
    "devmap_egress",
    "drop",
    "far_deaf",
    "no_ethernet",
    "partial_tx",
    "redirected",
    "requeued",
    "swap_tx",
];

#[test]
fn the_userspace_engine_runs_every_case_but_for_what_is_the_kernels() {
    let name = "the_userspace_engine_runs_every_case_but_for_what_is_the_kernels";
    let asked = |variable| std::env::var_os(variable).is_some();
    if !require::veth(name) || asked("HOIST_CASES") || asked("HOIST_ENGINES") {
        return;
    }
    let results = || REPORT.results.iter();
    let exceptions = |evidence| -> BTreeSet<(&str, &str)> {
        let of = results().filter(|r| r.engine_name() == "af_xdp" && r.evidence == evidence);
        let known = of.filter_map(|r| match &r.outcome {
            Outcome::Differs { known: Some(reason), .. }
            | Outcome::Refused { known: Some(reason), .. } => Some((file(r), reason.code.as_str())),
            _ => None,
        });
        known.collect()
    };
    assert_eq!(exceptions(Evidence::TestRun), BTreeSet::from(MACHINE));
    assert_eq!(exceptions(Evidence::RealTraffic), BTreeSet::from(AF_XDP));
    let passed = |engine: &str, evidence| {
        let of = results().filter(|r| r.engine_name() == engine && r.evidence == evidence);
        of.filter(|r| r.outcome == Outcome::Passed).count()
    };
    let (native, ours) = (passed("native", Evidence::TestRun), passed("af_xdp", Evidence::TestRun));
    assert!(native > 600 && ours + 10 > native, "{ours} test runs passed, on native {native}");

    let packet = results().filter(|r| r.engine_name() == "af_packet");
    let run = packet.filter(|r| matches!(r.outcome, Outcome::Passed | Outcome::Differs { .. }));
    let run: BTreeSet<&str> = run.map(file).collect();
    assert_eq!(run, BTreeSet::from(AF_PACKET));
}

/// The case file of a result.
fn file(result: &CaseResult) -> &str {
    result.case.split_once('/').map_or(&result.case, |(file, _)| file)
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
