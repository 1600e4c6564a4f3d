//! Random programs on random frames: native XDP against what the TC translator makes of them, and
//! against the userspace engine.
//!
//! ```text
//! cargo run --release -p hoist-hwtests --example differential -- --seed 1 --programs 10000 --runs 1000
//! ```
//!
//! Needs root. Ends with 1 when something differs, or when the runs did not exercise enough.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use hoist_bpf::kernel::Linux;
use hoist_hwtests::fuzz::bench::{Bench, Pass, Tally, Trial};
use hoist_hwtests::fuzz::campaign::{self, Outcome, Settings};
use hoist_hwtests::fuzz::{forms, lowered, render, run, save};

const USAGE: &str = "\
usage: differential [--seed N] [--first N] [--programs N] [--runs N] [--workers N]
                    [--findings N] [--against FORM[,FORM]...] [--save FOLDER] [--show]
       differential --replay FILE [--save FOLDER]
forms: tc, vm and compiled unless told otherwise; paranoid, tc-constant, lowered, xdp";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut settings = Settings { programs: 1000, runs: 1000, workers: 2, ..Settings::default() };
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = if name == "--show" { String::new() } else { arguments.next().ok_or(USAGE)? };
        let number = || value.parse::<u64>().map_err(|_| USAGE);
        match name.as_str() {
            "--seed" => settings.seed = number()?,
            "--first" => settings.first = number()?,
            "--programs" => settings.programs = number()?,
            "--runs" => settings.runs = number()? as usize,
            "--workers" => settings.workers = number()? as usize,
            "--findings" => settings.findings = number()? as usize,
            "--against" | "--save" | "--show" | "--replay" => drop(options.insert(name, value)),
            _ => return Err(USAGE.into()),
        }
    }
    let kernel = Linux::new()?;
    let against = options.get("--against").map_or("tc,vm,compiled", String::as_str);
    // For cards, more of what they lack.
    settings.limits.cards = against.contains("lowered");
    let passes = against.split(',').map(|form| pass(form).ok_or(USAGE));
    let passes = passes.collect::<Result<Vec<_>, _>>()?;
    let bench = Bench { kernel: &kernel, passes: &passes };
    let folder = options.get("--save").map(PathBuf::from);
    if let Some(file) = options.get("--replay") {
        return replay(bench, Path::new(file), folder.as_deref());
    }
    let start = Instant::now();
    let progress = |done: u64| {
        if done.is_multiple_of(500) {
            eprintln!(
                "{done} of {} programs, {:.0} s",
                settings.programs,
                start.elapsed().as_secs_f64()
            );
        }
    };
    let outcome = campaign::run(bench, &settings, &progress)?;
    report(&settings, &outcome, start.elapsed().as_secs_f64());
    for finding in &outcome.findings {
        println!("\nprogram {}, {}: {}", finding.number, finding.form, finding.difference);
        if options.contains_key("--show") {
            println!("{:#?}\nframes: {:02x?}", finding.model, finding.frames);
        }
        if let Some(folder) = &folder {
            let contents = run::contents(&kernel, &finding.model)?;
            let module = render::module(&finding.model);
            let words = format!("{}: {}", finding.form, finding.difference);
            let case = save::Saved::new(words, module, &contents, &finding.frames);
            println!("saved as {}", case.write(folder)?.display());
            case.write_case_file(folder, &finding.native)?;
        }
    }
    let lowered = !settings.limits.cards || lowered::enough(&outcome);
    let good = outcome.findings.is_empty() && outcome.coverage.enough() && lowered;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The pass that makes a form.
fn pass(form: &str) -> Option<Pass<'static>> {
    Some(match form {
        "tc" => &forms::translated,
        "tc-constant" => &forms::translated_by_constants,
        "vm" => &forms::interpreted,
        "compiled" => &forms::compiled,
        "paranoid" => &forms::paranoid,
        "lowered" => &lowered::lowered,
        "xdp" => &forms::same,
        _ => return None,
    })
}

/// Runs a saved case again, and writes its case file for the suite.
fn replay(
    bench: Bench<'_>,
    file: &Path,
    folder: Option<&Path>,
) -> Result<ExitCode, Box<dyn Error>> {
    let case = save::Saved::read(file)?;
    let (contents, frames) = (case.contents()?, case.frames()?);
    let place = run::Place::new()?;
    let tally = &mut Tally::default();
    let trial = place.run(|| bench.replay(case.module(), &contents, &frames, 1, tally));
    println!("{}: {trial:?}", case.module.name);
    if let Some(folder) = folder {
        let native = place.run(|| bench.last_of_native(case.module(), &contents, &frames));
        case.write(folder)?;
        case.write_case_file(folder, &native.ok_or("native XDP does not run it")?)?;
    }
    Ok(if trial == Trial::Same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(settings: &Settings, outcome: &Outcome, seconds: f64) {
    let coverage = &outcome.coverage;
    println!(
        "seed {}: {} programs, {} runs of every form, {seconds:.0} s, {:.1} us a run",
        settings.seed,
        coverage.programs,
        coverage.runs,
        1e6 * seconds * settings.workers as f64 / coverage.runs.max(1) as f64,
    );
    for gate in coverage.gates() {
        println!("  {gate}");
    }
    let tried = coverage.programs + outcome.rejected.len() as u64 + outcome.findings.len() as u64;
    let accepted = 100.0 - 100.0 * outcome.rejected.len() as f64 / tried.max(1) as f64;
    println!("  the verifier takes {accepted:.1} % of the programs");
    for (number, log) in outcome.rejected.iter().take(3) {
        println!("  not taken: program {number}: {log}");
    }
    for (code, (count, first)) in &outcome.refused {
        println!("  not translated: {code}: {count} programs, the first is {first}");
    }
    for (what, count) in &outcome.rewrites {
        println!("  rewritten: {what}: {count} programs");
    }
    for (what, count) in &outcome.applied {
        println!("  taken as equal: {}: {count} times", what.name());
    }
    println!("  {} differences", outcome.findings.len());
}
