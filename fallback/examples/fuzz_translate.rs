//! Translates damaged programs by the hundred thousand, and code that no compiler writes.
//!
//! ```text
//! cargo run --release -p hoist-fallback --example fuzz_translate -- --runs 200000 --seconds 60
//! ```
//!
//! A panic fails, and a translation that is not what it must be, naming the seed that repeats it
//! with `--runs 1`; so does a program that takes two seconds, and growing by more than 256 MiB of
//! memory.

#[path = "../tests/hostile/cases.rs"]
mod cases;
#[path = "../tests/translate/damage.rs"]
mod damage;
#[path = "../tests/translate/invariants.rs"]
mod invariants;
#[path = "../../bpf/tests/fuzz/mutate.rs"]
mod mutate;

use std::path::Path;
use std::time::{Duration, Instant};

use hoist_bpf::Module;
use hoist_bpf::image::Image;
use hoist_bpf::module::ProgramId;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_fallback::tc::translate::{Merged, Options, translate};

/// What the command line asks for.
struct Wishes {
    runs: u64,
    seed: u64,
    patience: Duration,
}

fn wishes() -> Result<Wishes, String> {
    let mut wishes = Wishes { runs: 200_000, seed: 0, patience: Duration::from_secs(3600) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
        let number: u64 = value.parse().map_err(|e| format!("{value}: {e}"))?;
        match argument.as_str() {
            "--runs" => wishes.runs = number,
            "--seed" => wishes.seed = number,
            "--seconds" => wishes.patience = Duration::from_secs(number),
            _ => return Err(format!("{argument}: not an option")),
        }
    }
    Ok(wishes)
}

/// The most memory that everything may cost, in KiB.
const MOST_KIB: u64 = 256 << 10;
/// The most time that one program may take.
const MOST_TIME: Duration = Duration::from_secs(2);
/// Most programs of one object that are translated.
const PROGRAMS: usize = 4;

/// `VmHWM`: most memory this process ever had resident, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn objects() -> Result<Vec<Vec<u8>>, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for dir in ["tests/objects", "../bpf/prebuilt", "../bpf/tests/objects"] {
        let entries = std::fs::read_dir(here.join(dir)).map_err(|e| format!("{dir}: {e}"))?;
        paths.extend(entries.flatten().map(|e| e.path()));
    }
    paths.retain(|p| p.extension() == Some("o".as_ref()));
    paths.sort();
    let read =
        |p: &std::path::PathBuf| std::fs::read(p).map_err(|e| format!("{}: {e}", p.display()));
    paths.iter().map(read).collect()
}

/// A module damaged as a file or, every other time, as a module.
fn damaged(seed: u64, objects: &[Vec<u8>], whole: &[Module]) -> Option<Module> {
    if seed.is_multiple_of(2) {
        let mut module = whole[(seed / 2) as usize % whole.len()].clone();
        damage::damage(&mut damage::Random::new(seed), &mut module);
        return Some(module);
    }
    let object = &objects[(seed / 2) as usize % objects.len()];
    let bytes = mutate::mutate(&mut mutate::Random::new(seed), object);
    let module = Module::parse("damaged", &bytes).ok()?;
    Some(resolve(&module, &TargetBtf::none()).unwrap_or(module))
}

/// How many of the module's programs were translated and refused.
fn exercise(seed: u64, module: &Module) -> Result<[u64; 2], String> {
    let merged = if seed.is_multiple_of(3) { Merged::Drop } else { Merged::Run };
    let options = Options { count: seed.is_multiple_of(5), merged, ..Options::default() };
    let mut counts = [0; 2];
    for program in (0..module.programs.len().min(PROGRAMS)).map(|id| ProgramId(id as u32)) {
        match translate(module, program, &options) {
            Ok(translated) => {
                invariants::check(module, program, &translated)?;
                counts[0] += 1;
            }
            Err(gaps) if gaps.is_empty() => return Err("refused without a reason".to_owned()),
            Err(_) => counts[1] += 1,
        }
    }
    Ok(counts)
}

fn hostile(cases: Vec<cases::Case>) -> Result<(), String> {
    for (name, module, expected) in cases {
        let started = Instant::now();
        let result = translate(&module, ProgramId(0), &Options::default());
        let took = started.elapsed();
        println!("{name}: {took:.1?}");
        let code = result.as_ref().err().and_then(|gaps| gaps.first()).map(|g| g.code.as_str());
        if code != expected || took > MOST_TIME {
            return Err(format!("{name}: {code:?} for {expected:?} after {took:.1?}"));
        }
        if let Ok(translated) = result {
            drop(Image::build(&translated.module, translated.program).map_err(|e| e.to_string()));
        }
    }
    Ok(())
}

fn main() -> Result<(), String> {
    let wishes = wishes()?;
    let objects = objects()?;
    let fit = |bytes: &Vec<u8>| {
        let module = Module::parse("whole", bytes).ok()?;
        Some(resolve(&module, &TargetBtf::none()).unwrap_or(module))
    };
    let whole: Vec<Module> = objects.iter().filter_map(fit).collect();
    // Modules of a million instructions are there before anything is translated.
    let hostile_cases = cases::all();
    let before = peak_kib().ok_or("/proc/self/status does not say how much memory is used")?;
    let (started, mut runs, mut parsed) = (Instant::now(), 0, 0_u64);
    let (mut counts, mut slowest) = ([0_u64; 2], (Duration::ZERO, 0));
    while runs < wishes.runs && started.elapsed() < wishes.patience {
        let seed = wishes.seed + runs;
        runs += 1;
        let Some(module) = damaged(seed, &objects, &whole) else { continue };
        parsed += 1;
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(|| exercise(seed, &module));
        slowest = slowest.max((began.elapsed(), seed));
        let repeat = |why: String| format!("{why}: repeat with --seed {seed} --runs 1");
        let outcome = outcome.map_err(|_| repeat("panic".to_owned()))?.map_err(repeat)?;
        counts = [counts[0] + outcome[0], counts[1] + outcome[1]];
    }
    hostile(hostile_cases)?;
    let grown = peak_kib().unwrap_or(u64::MAX).saturating_sub(before);
    println!("{runs} runs in {:.1?}, {grown} KiB of memory, {parsed} parsed", started.elapsed());
    println!("translated {}, refused {}", counts[0], counts[1]);
    println!("slowest {:.1?} (--seed {} --runs 1)", slowest.0, slowest.1);
    if grown > MOST_KIB || slowest.0 > MOST_TIME {
        return Err(format!("more than {MOST_KIB} KiB of memory or {MOST_TIME:?}"));
    }
    Ok(())
}
