//! The XDP programs of any object files: native XDP against what the TC translator makes of them,
//! or against the userspace engine.
//!
//! ```text
//! cargo run --release -p hoist-hwtests --example compare_objects -- [--against FORM] [--frames N] [--seed N] OBJECT...
//! ```
//!
//! Each program is loaded in both forms and run on the same frames by test run, first with empty maps,
//! then with maps that hold what the frames do: addresses, ports, small numbers. Verdicts, bytes and
//! maps are compared as the fuzzer compares them (docs/differential-fuzzing.md). Needs root. Ends with
//! 1 when something differs.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use hoist_hwtests::fuzz::objects::Trial;
use hoist_hwtests::fuzz::run::Hook;

const USAGE: &str =
    "usage: compare_objects [--against tc|vm|compiled] [--frames N] [--seed N] OBJECT...";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut count, mut seed, mut hook, mut paths) = (1000, 1, Hook::Tc, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).ok_or(USAGE);
        match argument.as_str() {
            "--frames" => count = number()?,
            "--seed" => seed = number()?,
            "--against" => {
                let forms = [Hook::Tc, Hook::Interpreter, Hook::Compiled];
                let name = arguments.next().ok_or(USAGE)?;
                hook = forms.into_iter().find(|hook| hook.form() == name).ok_or(USAGE)?;
            }
            option if option.starts_with('-') => return Err(USAGE.into()),
            _ => paths.push(argument),
        }
    }
    if paths.is_empty() {
        return Err(USAGE.into());
    }
    let trial = Trial::new(hook, usize::try_from(count)?, seed)?;
    let mut sums: BTreeMap<&str, u32> = BTreeMap::new();
    for path in &paths {
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        for (program, outcome) in trial.object(path, &bytes) {
            println!("{path}\t{program}\t{}\t{}", outcome.word, outcome.detail);
            *sums.entry(outcome.word).or_default() += 1;
        }
    }
    let sums: Vec<String> = sums.iter().map(|(word, n)| format!("{n} {word}")).collect();
    println!("{} objects: {}", paths.len(), sums.join(", "));
    let differs = sums.iter().any(|sum| sum.ends_with(" differs"));
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
