//! Damages object files by the million and takes each as far as it goes.
//!
//! ```text
//! cargo run --release -p hoist-bpf --example fuzz_parse -- --runs 1000000 --seed 1 [OBJECT...]
//! ```
//!
//! Without objects, the tests' own are damaged. A panic fails, naming the seed that repeats it with
//! `--runs 1`; so does growing by more than 64 MiB of memory. `--kernel FILE` resolves against real
//! vmlinux BTF.

#[path = "../tests/fuzz/exercise.rs"]
mod exercise;
#[path = "../tests/fuzz/mutate.rs"]
mod mutate;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use exercise::{Reached, exercise};
use hoist_bpf::Module;
use hoist_bpf::resolve::TargetBtf;
use mutate::{Random, mutate};

/// What the command line asks for.
struct Options {
    runs: u64,
    seed: u64,
    kernel: Option<PathBuf>,
    objects: Vec<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 1_000_000, seed: 0, kernel: None, objects: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|e| format!("{text}: {e}"));
        match argument.as_str() {
            "--runs" => options.runs = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--kernel" => options.kernel = Some(value()?.into()),
            object => options.objects.push(object.into()),
        }
    }
    if options.objects.is_empty() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for dir in ["tests/objects", "prebuilt"] {
            let entries = std::fs::read_dir(here.join(dir)).map_err(|e| format!("{dir}: {e}"))?;
            options.objects.extend(
                entries.flatten().map(|e| e.path()).filter(|p| p.extension() == Some("o".as_ref())),
            );
        }
        options.objects.sort();
    }
    Ok(options)
}

/// The most memory that the worst object may cost, in KiB.
const LIMIT_KIB: u64 = 64 << 10;

/// `VmHWM`: most memory this process ever had resident, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn main() -> Result<(), String> {
    let options = options()?;
    let read = |path: &PathBuf| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let objects = options.objects.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let target = match &options.kernel {
        Some(path) => TargetBtf::parse(read(path)?).map_err(|e| e.to_string())?,
        None => {
            let btf = objects.iter().filter_map(|o| Module::parse("", o).ok()).map(|m| m.btf);
            let btf = btf.max_by_key(Vec::len).unwrap_or_default();
            TargetBtf::parse(btf).map_err(|e| e.to_string())?
        }
    };
    let before = peak_kib().ok_or("/proc/self/status does not say how much memory is used")?;
    let (started, mut reached) = (Instant::now(), [0u64; 3]);
    let mut slowest = (Duration::ZERO, 0);
    for seed in options.seed..options.seed + options.runs {
        let object = &objects[seed as usize % objects.len()];
        let damaged = mutate(&mut Random::new(seed), object);
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(|| exercise(&damaged, &target));
        let outcome = outcome.map_err(|_| format!("panic: repeat with --seed {seed} --runs 1"))?;
        slowest = slowest.max((began.elapsed(), seed));
        reached[outcome as usize] += 1;
    }
    let [refused, parsed, laid] = reached.map(|n| n.to_string());
    let grown = peak_kib().unwrap_or(u64::MAX).saturating_sub(before);
    println!("{} runs in {:.1?}, {grown} KiB of memory", options.runs, started.elapsed());
    println!("refused {refused}, parsed only {parsed}, laid out {laid}");
    println!("slowest {:.1?} (--seed {} --runs 1)", slowest.0, slowest.1);
    debug_assert!(Reached::Nothing < Reached::Laid);
    if grown > LIMIT_KIB { Err(format!("more than {LIMIT_KIB} KiB of memory")) } else { Ok(()) }
}
