//! Single mutations of the translator's output and its runtime, one at a time: each must be caught, by
//! the conformance suite or by the fuzzer. What neither would notice could go wrong unnoticed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hoist_bpf::kernel::Linux;
use hoist_bpf::module::{Module, ProgramId};
use hoist_fallback::tc::translate::{Options as Translation, Translated, translate};
use hoist_fallback::tc::{TcEngine, Translator};
use hoist_hwtests::conformance::report::Evidence;
use hoist_hwtests::conformance::{CaseResult, Options, Outcome, Source, run_with, suite};
use hoist_hwtests::fuzz::bench::{Bench, Refusal};
use hoist_hwtests::fuzz::campaign::{self, Settings};
use hoist_hwtests::fuzz::forms;
use hoist_hwtests::fuzz::run::Form;
use hoist_hwtests::require;
use hoist_offload::{Engine, EngineKind, Gap, Hook, Wanted};

mod edit;
mod naive;
mod table;

use edit::{By, Mutation};

type Result<T, E> = std::result::Result<T, E>;

fn all() -> impl Iterator<Item = &'static Mutation> {
    static ALL: [&[Mutation]; 6] = [
        &table::PROGRAM,
        &table::PROLOGUE,
        &table::EPILOGUE,
        &table::RESIZE,
        &table::HELPERS,
        &table::REDIRECT,
    ];
    ALL.into_iter().flatten()
}

/// What the suite says of these cases, with this translator in the TC engine.
fn results(sources: &[Source], translator: &'static Translator) -> Vec<CaseResult> {
    let engine: &'static dyn Engine = Box::leak(Box::new(TcEngine::new(Hook::Tcx, translator)));
    let options = Options {
        engines: vec![Wanted::at(EngineKind::Tc, Hook::Tcx)],
        evidence: vec![Evidence::RealTraffic, Evidence::TestRun],
        given: None,
    };
    run_with(Some(&[engine]), sources, &options, &mut |_| ControlFlow::Continue(()))
        .unwrap()
        .results
}

/// Cases of a file whose names start so.
fn cases(file: &str, case: &str) -> Source {
    let mut source = suite::builtin().unwrap().into_iter().find(|s| s.name == file).unwrap();
    source.file.cases.retain(|c| c.name.starts_with(case));
    assert!(!source.file.cases.is_empty(), "no case '{case}' in {file}.toml");
    source
}

/// What the suite notices, in words; `None` where it notices nothing.
fn noticed(results: &[CaseResult], refused: bool) -> Option<String> {
    results.iter().filter(|r| !r.outcome.is_explained()).find_map(|r| match &r.outcome {
        Outcome::Differs { differences, .. } if !refused => {
            Some(format!("{} by {}: {}", r.case, r.evidence, differences.first()?))
        }
        Outcome::Refused { gaps, .. } if refused => {
            Some(format!("{}: refused, {}", r.case, gaps.first()?.code))
        }
        _ => None,
    })
}

/// The translator with a mutation, and how often it applied.
fn by_suite(mutation: &'static Mutation, source: Source, refused: bool) -> (Option<String>, usize) {
    let applied: &'static AtomicUsize = Box::leak(Box::default());
    let mutated = move |module: &Module, program: ProgramId, options: &Translation| {
        let mut translated = translate(module, program, options)?;
        applied.fetch_add(mutation.apply(&mut translated.module, program), Ordering::Relaxed);
        Ok::<Translated, Vec<Gap>>(translated)
    };
    let results = results(&[source], Box::leak(Box::new(mutated)));
    (noticed(&results, refused), applied.load(Ordering::Relaxed))
}

fn by_fuzzer(
    mutation: &Mutation,
    seed: u64,
    first: u64,
    kernel: &Linux,
) -> (Option<String>, usize) {
    let applied = AtomicUsize::new(0);
    let pass = |module: &Module, program: ProgramId| -> Result<Form, Refusal> {
        let mut form = forms::translated(module, program)?;
        applied.fetch_add(mutation.apply(&mut form.module, program), Ordering::Relaxed);
        Ok(form)
    };
    let settings = Settings {
        seed,
        first,
        programs: 600,
        runs: 100,
        findings: 1,
        shrink: false,
        ..Settings::default()
    };
    let outcome = campaign::run(Bench { kernel, passes: &[&pass] }, &settings, &|_| {}).unwrap();
    let found =
        outcome.findings.first().map(|f| format!("program {}: {:?}", f.number, f.difference));
    (found, applied.into_inner())
}

#[test]
fn each_single_mutation_is_caught() {
    if !require::veth("each_single_mutation_is_caught") {
        return;
    }
    let kernel = Linux::new().unwrap();
    let filter = std::env::var("HOIST_MUTATIONS").unwrap_or_default();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for mutation in all().filter(|m| m.name.contains(&filter)) {
        let start = Instant::now();
        let (caught, applied) = match mutation.caught {
            By::Suite(file, case) => by_suite(mutation, cases(file, case), false),
            By::SuiteByRefusal(file, case) => by_suite(mutation, cases(file, case), true),
            By::Fuzzer(seed, first) => by_fuzzer(mutation, seed, first, &kernel),
        };
        count += 1;
        let said: String = caught.iter().flat_map(|c| c.chars()).take(160).collect();
        println!("{} [{applied}, {:.1?}]: {said}", mutation.name, start.elapsed());
        if applied == 0 {
            wrong.push(format!("{}: there is no such place any more", mutation.name));
        } else if caught.is_none() {
            wrong.push(format!("{}: not caught by {:?}", mutation.name, mutation.caught));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 20 || !filter.is_empty(), "{count} mutations");
}

/// The same cases with the translator as it is: what is noticed above is the mutation.
#[test]
fn without_a_mutation_nothing_is_noticed() {
    if !require::veth("without_a_mutation_nothing_is_noticed") {
        return;
    }
    let mut sources: Vec<Source> = Vec::new();
    for mutation in all() {
        let (By::Suite(file, case) | By::SuiteByRefusal(file, case)) = mutation.caught else {
            continue;
        };
        let more = cases(file, case);
        match sources.iter_mut().find(|s| s.name == file) {
            Some(source) => {
                let new = more.file.cases.into_iter();
                let new: Vec<_> = new.filter(|c| !source.file.cases.contains(c)).collect();
                source.file.cases.extend(new);
            }
            None => sources.push(more),
        }
    }
    let results = results(&sources, &translate);
    let wrong: Vec<_> = results.iter().filter(|r| !r.outcome.is_explained()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(results.iter().any(|r| r.outcome == Outcome::Passed));
}
