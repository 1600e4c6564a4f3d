//! The conformance suite notices: what is written wrong on purpose must come out as a difference that
//! says what was seen, by the evidence that can see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::ops::ControlFlow;

use hoist_hwtests::conformance::report::Evidence;
use hoist_hwtests::conformance::{CaseResult, Options, Outcome, Source, run};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::Wanted;

/// Program, case, what a difference seen in real traffic says, and in a test run (`""`: no difference
/// can be seen there).
const WRONG: [(&str, &str, &str, &str); 17] = [
    (
        "pass",
        "verdict = 'drop'",
        "verdicts: 1 pass, expected 1 drop",
        "verdict pass, expected drop",
    ),
    ("pass", "verdict = 'drop'", "at the stack arrived, unexpected: eth", "verdict pass"),
    ("drop", "verdict = 'pass'", "at the stack arrived 0 frames, expected 1", "verdict drop"),
    ("pass", "verdict = 'pass'\nat = 'nowhere'", "at the stack arrived, unexpected", ""),
    (
        "pass",
        "verdict = 'pass'\ntimes = 2\nframe = 'same / patch 46 00'",
        "at the stack: payload",
        "",
    ),
    ("pass", "verdict = 'pass'\nframe = 'eth near > near / ...'", "eth.src at 6", "eth.src at 6"),
    ("pass", "verdict = 'pass'\nframe = 'same / pad 60'", "at the stack: payload", "the frame"),
    ("pass", "verdict = 'pass'\npacket-type = 'other'", "packet type host, expected other", ""),
    ("pass", "verdict = 'pass'\nprotocol = '0x86dd'", "protocol 0x0800, expected 0x86dd", ""),
    ("pass", "verdict = 'pass'\nsocket = { udp = 2000 }", "received 'hello', expected nothing", ""),
    (
        "drop",
        "verdict = 'drop'\nsocket = { udp = 2000, receives = ['x'] }",
        "nothing, expected 'x'",
        "",
    ),
    ("swap_tx", "verdict = 'tx'\nat = 'third'", "at the peer arrived, unexpected", "eth.dst at 0"),
    ("swap_tx", "verdict = 'tx'", "at the peer: eth.dst at 0", "eth.dst at 0"),
    (
        "globals",
        "verdict = 'pass'\nvariables-after = { packets = 2 }",
        "packets is 1, expected 2",
        "packets is 1",
    ),
    (
        "count_proto",
        "verdict = 'pass'\nmaps-after.protocols = [{ key = 17, value = { packets = 1, bytes = 48 } }]",
        "\"bytes\":47}, expected {\"packets\":1,\"bytes\":48}",
        "\"bytes\":47}, expected",
    ),
    ("tables", "verdict = 'pass'\nmaps-after.hash = []", "expected none", "expected none"),
    (
        "tables",
        "verdict = 'pass'\nmaps-after.hash = [{ key = 1, value = 1 }]",
        "no entry 1",
        "no entry 1",
    ),
];

const SEND: &str = "send = \"eth far > near / ipv4 far > near / udp 1000 > 2000 / 'hello'\"";

fn outcomes(sources: &[Source], engines: &[&str], given: Option<&Lab>) -> Vec<CaseResult> {
    let options = Options {
        engines: engines.iter().map(|e| e.parse::<Wanted>().unwrap()).collect(),
        evidence: vec![Evidence::RealTraffic, Evidence::TestRun],
        given: given.map(|lab| (lab.near().clone(), lab.far().clone())),
    };
    run(sources, &options, &mut |_| ControlFlow::Continue(())).unwrap().results
}

fn source(name: &str, program: &str, cases: &str) -> Source {
    Source::parse(name, None, &format!("title = 't'\nprogram = '{program}'\n{cases}")).unwrap()
}

#[test]
fn what_is_wrong_is_seen() {
    if !require::veth("what_is_wrong_is_seen") {
        return;
    }
    let sources: Vec<Source> = WRONG
        .iter()
        .enumerate()
        .map(|(index, (program, case, ..))| {
            source(
                &index.to_string(),
                program,
                &format!("[[case]]\nname = 'wrong'\n{SEND}\n{case}"),
            )
        })
        .collect();
    let results = outcomes(&sources, &["generic", "tcx", "af_xdp"], None);
    for (index, (program, case, traffic, test_run)) in WRONG.into_iter().enumerate() {
        let name = format!("{index}/wrong");
        let mine: Vec<_> = results.iter().filter(|r| r.case == name).collect();
        assert_eq!(mine.len(), 6, "{program}: {case}");
        for result in mine {
            let at =
                format!("{program}: {case}: on {} by {}", result.engine_name(), result.evidence);
            let expected = match result.evidence {
                Evidence::RealTraffic => traffic,
                Evidence::TestRun => test_run,
            };
            match &result.outcome {
                Outcome::Differs { known: None, differences } => {
                    let all = differences.join("\n");
                    assert!(expected.is_empty() || all.contains(expected), "{at}: {all}");
                }
                Outcome::Passed | Outcome::NotRun { .. } if expected.is_empty() => {}
                other => panic!("{at}: {other:?}"),
            }
        }
    }
}

/// A difference is told of the case that has it, not of its neighbours.
#[test]
fn what_is_wrong_is_seen_where_it_is() {
    if !require::veth("what_is_wrong_is_seen_where_it_is") {
        return;
    }
    let cases: String = ["pass", "drop", "pass"]
        .iter()
        .enumerate()
        .map(|(i, verdict)| format!("[[case]]\nname = '{i}'\n{SEND}\nverdict = '{verdict}'\n"))
        .collect();
    let results = outcomes(&[source("f", "pass", &cases)], &["native"], None);
    let traffic = results.iter().filter(|r| r.evidence == Evidence::RealTraffic);
    let passed: Vec<bool> = traffic.map(|r| r.outcome == Outcome::Passed).collect();
    assert_eq!(passed, [true, false, true]);
}

/// Interfaces that exist already: other addresses, no third port, nothing attached at the other end.
#[test]
fn given_interfaces_are_used_as_they_are() {
    if !require::veth("given_interfaces_are_used_as_they_are") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let cases = format!(
        "[[case]]\nname = 'udp'\n{SEND}\nverdict = 'pass'\n[[case]]\nname = 'all'\nsend = '@all'\nverdict = 'pass'"
    );
    let results = outcomes(
        &[source("f", "pass", &cases)],
        &["native", "generic", "tcx", "clsact"],
        Some(&lab),
    );
    let wrong: Vec<_> = results.iter().filter(|r| !r.outcome.is_explained()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(results.len() > 4 * 30 && results.iter().all(|r| r.device == lab.near().name));

    let redirect = format!(
        "maps = {{ target = [{{ key = 0, value = '@exit' }}] }}\n[[case]]\nname = 'r'\n{SEND}\nverdict = 'redirect'"
    );
    for result in outcomes(&[source("f", "redirect", &redirect)], &["generic"], Some(&lab)) {
        let Outcome::NotRun { why } = &result.outcome else { panic!("{:?}", result.outcome) };
        assert!(why.contains("second port"), "{why}");
    }
}
