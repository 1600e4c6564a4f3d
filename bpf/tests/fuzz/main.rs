//! A smoke run of the fuzzer: a hundred thousand damaged objects, none of which may panic or take
//! more than 64 MiB. `cargo run --release --example fuzz_parse` runs the million.
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe by its trait")]

mod exercise;
mod memory;
mod mutate;

use std::time::{Duration, Instant};

use exercise::{Reached, exercise};
use hoist_bpf::Module;
use hoist_bpf::resolve::TargetBtf;
use mutate::{Random, mutate};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting::new();

const RUNS: u64 = 100_000;
/// What a slow machine does not get through in this time is left out, and said.
const PATIENCE: Duration = Duration::from_secs(50);
const LIMIT: usize = 64 << 20;

/// Objects that between them hold every construct the parser knows.
const SEEDS: [(&str, &[u8]); 8] = [
    ("core", include_bytes!("../objects/core.bpf.o")),
    ("functions", include_bytes!("../objects/functions.bpf.o")),
    ("iproute2", include_bytes!("../objects/iproute2.bpf.o")),
    ("kconfig", include_bytes!("../objects/kconfig.bpf.o")),
    ("ksyms", include_bytes!("../objects/ksyms.bpf.o")),
    ("legacy", include_bytes!("../objects/legacy.bpf.o")),
    ("maps", include_bytes!("../objects/maps.bpf.o")),
    ("acl", include_bytes!("../../prebuilt/acl.bpf.o")),
];

/// A kernel of a few types: those of the objects themselves, so that relocations find something.
fn small_kernel() -> TargetBtf {
    let module = Module::parse("core", SEEDS[0].1).expect("the object is whole");
    TargetBtf::parse(module.btf).expect("its BTF is whole")
}

#[test]
fn damaged_objects_are_refused_in_peace() {
    let target = small_kernel();
    for (name, object) in SEEDS {
        assert_eq!(exercise(object, &target), Reached::Laid, "{name} is whole");
    }
    let started = Instant::now();
    let (mut runs, mut laid, mut highest) = (0, 0, 0);
    while runs < RUNS && started.elapsed() < PATIENCE {
        let (name, object) = SEEDS[runs as usize % SEEDS.len()];
        let damaged = mutate(&mut Random::new(runs), object);
        MEMORY.start();
        let reached = exercise(&damaged, &target);
        let peak = MEMORY.peak();
        assert!(peak < LIMIT, "seed {runs} of {name} took {peak} bytes");
        highest = highest.max(peak);
        laid += u64::from(reached == Reached::Laid);
        runs += 1;
    }
    println!("{runs} damaged objects, {laid} still loadable, at most {highest} bytes each");
    assert!(runs == RUNS || runs > 1000, "only {runs} runs in {PATIENCE:?}");
    assert!(laid > runs / 100, "the damage is too coarse to reach past the parser");
}
