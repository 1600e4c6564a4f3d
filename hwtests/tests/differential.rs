//! A small campaign with a fixed seed, and whether the fuzzer finds what is there to be found.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::ops::ControlFlow;
use std::path::Path;

use hoist_bpf::kernel::Linux;
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::opcode::{alu, class};
use hoist_hwtests::conformance::report::Evidence;
use hoist_hwtests::conformance::{self, suite};
use hoist_hwtests::fuzz::bench::{Bench, Pass, Refusal, Tally, Trial};
use hoist_hwtests::fuzz::campaign::{self, Outcome, Settings};
use hoist_hwtests::fuzz::generate::Limits;
use hoist_hwtests::fuzz::run::{Form, Hook, Place};
use hoist_hwtests::fuzz::save::Saved;
use hoist_hwtests::fuzz::{forms, lowered, render, run};
use hoist_hwtests::require;

fn campaign(pass: Pass<'_>, settings: &Settings) -> Outcome {
    let kernel = Linux::new().unwrap();
    campaign::run(Bench { kernel: &kernel, passes: &[pass] }, settings, &|_| {}).unwrap()
}

#[test]
fn a_program_does_what_it_does_and_the_verifier_takes_it() {
    if !require::veth("a_program_does_what_it_does_and_the_verifier_takes_it") {
        return;
    }
    let settings = Settings { seed: 11, programs: 120, runs: 100, ..Settings::default() };
    let outcome = campaign(&forms::same, &settings);
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    assert!(outcome.rejected.len() <= 6, "of 120: {:?}", outcome.rejected);
    assert!(outcome.coverage.enough(), "{:#?}", outcome.coverage.gates());
}

#[test]
fn translated_programs_do_what_they_did() {
    if !require::veth("translated_programs_do_what_they_did") {
        return;
    }
    let forms: [(u64, Pass<'_>); 2] =
        [(150, &forms::translated), (75, &forms::translated_by_constants)];
    for (programs, pass) in forms {
        let settings = Settings { seed: 3, programs, runs: 100, ..Settings::default() };
        let outcome = campaign(pass, &settings);
        let differences: Vec<_> =
            outcome.findings.iter().map(|f| (f.number, &f.difference)).collect();
        assert!(differences.is_empty(), "{differences:#?}");
        let older = !require::kernel(6, 12);
        let refused: Vec<_> =
            outcome.refused.iter().filter(|(code, _)| !older || *code != "tc-stack").collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert!(outcome.coverage.enough(), "{:#?}", outcome.coverage.gates());
    }
}

#[test]
fn the_userspace_engine_does_what_the_kernel_does() {
    if !require::veth("the_userspace_engine_does_what_the_kernel_does") {
        return;
    }
    let kernel = Linux::new().unwrap();
    let settings = Settings { seed: 41, programs: 150, runs: 100, ..Settings::default() };
    let passes: [Pass<'_>; 3] = [&forms::interpreted, &forms::compiled, &forms::paranoid];
    let bench = Bench { kernel: &kernel, passes: &passes };
    let outcome = campaign::run(bench, &settings, &|_| {}).unwrap();
    let found: Vec<_> =
        outcome.findings.iter().map(|f| (f.number, f.form, &f.difference)).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(outcome.coverage.enough(), "{:#?}", outcome.coverage.gates());

    // What is wrong on the machine alone is found and named.
    let wrong = |module: &Module, program| {
        let form = without_helper(module, program, ADJUST_HEAD)?;
        Ok(Form { hook: Hook::Compiled, ..form })
    };
    let bench = Bench { kernel: &kernel, passes: &[&forms::interpreted, &wrong] };
    let settings = Settings { findings: 1, shrink: false, ..settings };
    let outcome = campaign::run(bench, &settings, &|_| {}).unwrap();
    let finding = outcome.findings.first().expect("a helper that does nothing is found");
    assert_eq!(finding.form, "compiled");
}

/// `bpf_xdp_adjust_head`.
const ADJUST_HEAD: i32 = 44;

/// A fault: every call of the helper is replaced by the answer "done".
fn without_helper(module: &Module, program: ProgramId, helper: i32) -> Result<Form, Refusal> {
    let mut form = forms::same(module, program)?;
    for inst in form.module.functions.iter_mut().flat_map(|f| &mut f.code) {
        if inst.insn.is_call() && inst.insn.src() == 0 && inst.insn.imm == helper {
            inst.insn = hoist_bpf::Insn::new(class::ALU64 | alu::MOV, 0, 0, 0, 0);
        }
    }
    Ok(form)
}

#[test]
fn faults_are_found_shrunk_saved_and_found_again() {
    if !require::veth("faults_are_found_shrunk_saved_and_found_again") {
        return;
    }
    // bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_map_delete_elem, bpf_redirect
    for (helper, kinds) in [
        (ADJUST_HEAD, ["frame", "verdict"]),
        (65, ["frame", "verdict"]),
        (3, ["map", "verdict"]),
        (23, ["verdict", "map"]),
    ] {
        let pass = move |module: &Module, program| without_helper(module, program, helper);
        let settings =
            Settings { seed: 5, programs: 300, runs: 100, findings: 1, ..Settings::default() };
        let outcome = campaign(&pass, &settings);
        let finding = outcome.findings.first().unwrap_or_else(|| panic!("{helper} is not found"));
        assert!(kinds.contains(&finding.difference.kind()), "{helper}: {}", finding.difference);
        assert!(finding.model.steps() <= 6, "{helper}: {:#?}", finding.model);

        let kernel = Linux::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let contents = run::contents(&kernel, &finding.model).unwrap();
        let module = render::module(&finding.model);
        let case = Saved::new(finding.difference.to_string(), module, &contents, &finding.frames);
        let case = Saved::read(&case.write(folder.path()).unwrap()).unwrap();
        let replayed = |pass: Pass<'_>| {
            let (contents, frames) = (case.contents().unwrap(), case.frames().unwrap());
            let bench = Bench { kernel: &kernel, passes: &[pass] };
            let place = Place::new().unwrap();
            place.run(|| bench.replay(case.module(), &contents, &frames, 1, &mut Tally::default()))
        };
        assert!(matches!(replayed(&pass), Trial::Differs(..)), "{helper}");
        assert_eq!(replayed(&forms::same), Trial::Same, "{helper}");
    }
}

/// Cases that once differed: by replay of all their frames, and as cases of the suite where they are
/// of one frame.
#[test]
fn saved_cases_stay_mended() {
    if !require::veth("saved_cases_stay_mended") {
        return;
    }
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases/regressions"));
    let kernel = Linux::new().unwrap();
    let place = Place::new().unwrap();
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let case = Saved::read(&path).unwrap();
        let (contents, frames) = (case.contents().unwrap(), case.frames().unwrap());
        let bench = Bench {
            kernel: &kernel,
            passes: &[&forms::translated, &forms::interpreted, &forms::compiled],
        };
        let trial =
            place.run(|| bench.replay(case.module(), &contents, &frames, 1, &mut Tally::default()));
        assert_eq!(trial, Trial::Same, "{}", path.display());
        replayed += 1;
    }
    assert!(replayed > 0);

    let sources = suite::read(folder).unwrap();
    let options = conformance::Options {
        engines: ["native", "tc"].map(|engine| engine.parse().unwrap()).to_vec(),
        evidence: vec![Evidence::TestRun],
        given: None,
    };
    let report = conformance::run(&sources, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.results.len(), 2 * sources.len());
    for result in report.results {
        assert_eq!(result.outcome, conformance::Outcome::Passed, "{result:?}");
    }
}

#[test]
fn lowered_programs_do_what_they_did() {
    if !require::veth("lowered_programs_do_what_they_did") || !require::kernel(6, 6) {
        return;
    }
    let limits = Limits { cards: true, ..Limits::default() };
    let settings = Settings { seed: 7, programs: 150, runs: 100, limits, ..Settings::default() };
    let outcome = campaign(&lowered::lowered, &settings);
    let found: Vec<_> = outcome.findings.iter().map(|f| (f.number, &f.difference)).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(outcome.coverage.enough(), "{:#?}", outcome.coverage.gates());
    assert!(lowered::enough(&outcome), "{:?} of {}", outcome.rewrites, outcome.coverage.programs);
}
