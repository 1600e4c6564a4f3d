//! Every program of the corpus, whole and damaged.

use std::time::{Duration, Instant};

use hoist_fallback::tc::translate::{Globals, Merged, Offsets, Options, TagPush, translate};

use crate::corpus;
use crate::damage::{Random, damage};
use crate::invariants::check;
use crate::uses::check_whole;

const OPTIONS: [Options; 5] = [
    options(false, Merged::Run, TagPush::MovesNetworkHeader, Offsets::Any),
    options(true, Merged::Run, TagPush::MovesNetworkHeader, Offsets::Any),
    options(true, Merged::Drop, TagPush::MovesNetworkHeader, Offsets::Any),
    options(true, Merged::Run, TagPush::LeavesNetworkHeader, Offsets::Any),
    options(true, Merged::Run, TagPush::MovesNetworkHeader, Offsets::Constant),
];

const fn options(count: bool, merged: Merged, tag_push: TagPush, offsets: Offsets) -> Options {
    Options { count, merged, globals: Globals::Inline, tag_push, offsets }
}

#[test]
fn every_program_is_translated_or_refused_with_reasons() {
    let (mut translated, mut refused) = (0, 0);
    for case in corpus::all() {
        for options in OPTIONS {
            match translate(&case.module, case.program, &options) {
                Ok(result) => {
                    check_whole(&case.module, case.program, &result)
                        .unwrap_or_else(|e| panic!("{} {options:?}: {e}", case.name));
                    assert_eq!(result.counters.is_some(), options.count, "{}", case.name);
                    translated += 1;
                }
                Err(gaps) => {
                    assert!(!gaps.is_empty(), "{}", case.name);
                    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                    assert!(gaps.iter().all(|g| g.code.chars().all(kebab)), "{gaps:?}");
                    refused += 1;
                }
            }
        }
    }
    println!("{translated} translations, {refused} refusals");
    assert!(translated >= 5 * 25 && refused >= 5 * 15, "{translated} {refused}");
}

#[test]
fn the_same_program_gives_the_same_translation() {
    for name in ["tail_call", "redirect_devmap", "vlan_push"] {
        let case = corpus::own(name);
        let text = || {
            let result = translate(&case.module, case.program, &OPTIONS[1]).unwrap();
            (format!("{:?}", result.module), result.module.btf)
        };
        assert_eq!(text(), text(), "{name}");
    }
}

#[test]
fn a_translation_is_not_translated_again() {
    let case = corpus::own("pass");
    let result = translate(&case.module, case.program, &OPTIONS[0]).unwrap();
    let gaps = translate(&result.module, result.program, &OPTIONS[0]).unwrap_err();
    assert_eq!(gaps[0].code, "translated-twice");
}

/// A run of the fuzzer; `cargo run --release -p hoist-fallback --example fuzz_translate` runs more.
#[test]
fn damaged_programs_are_translated_rightly_or_refused() {
    let cases = corpus::all();
    let (started, mut runs, mut translated) = (Instant::now(), 0_u64, 0_u64);
    while runs < 20_000 && started.elapsed() < Duration::from_secs(20) {
        let case = &cases[runs as usize % cases.len()];
        let mut module = case.module.clone();
        damage(&mut Random::new(runs), &mut module);
        let options = OPTIONS[runs as usize % OPTIONS.len()];
        if let Ok(result) = translate(&module, case.program, &options) {
            check(&module, case.program, &result)
                .unwrap_or_else(|e| panic!("seed {runs} of {}: {e}", case.name));
            translated += 1;
        }
        runs += 1;
    }
    println!("{runs} damaged programs, {translated} translated");
    assert!(runs >= 200 && translated > runs / 5, "{runs} runs, {translated} translated");
}
