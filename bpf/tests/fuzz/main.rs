//! A smoke run of the fuzzer: a hundred thousand damaged objects, none of which may panic or take
//! more than 64 MiB. `cargo run --release --example fuzz_parse` runs the million.
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe by its trait")]

mod exercise;
mod memory;
mod mutate;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use exercise::{Reached, exercise};
use hoist_bpf::Module;
use hoist_bpf::resolve::TargetBtf;
use mutate::{Random, mutate};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting::new();

/// Memory is counted for the whole process, so one test at a time measures.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock();
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

/// An object with one program of `slots` instructions, half of them branches: section
/// `action_of_mine` of functions.bpf.c, moved to the end and stretched.
fn stretched(slots: usize) -> Vec<u8> {
    let mut bytes = SEEDS[1].1.to_vec();
    let word = |bytes: &[u8], at: usize| {
        usize::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
    };
    let (table, end) = (word(&bytes, 40), bytes.len());
    // The program is `r0 = 2; exit`: its section and its symbol are the only ones of 16 bytes in a
    // section that holds code.
    let code = (table..end)
        .step_by(64)
        .find(|at| bytes[at + 4] == 1 && bytes[at + 8] == 6 && word(&bytes, at + 32) == 16);
    let code = code.expect("a section of 16 bytes");
    let index = ((code - table) / 64) as u8;
    let symbols = (table..end).step_by(64).find(|at| bytes[at + 4] == 2).expect("a symbol table");
    let (from, to) = (word(&bytes, symbols + 24), word(&bytes, symbols + 32));
    let symbol =
        (from..from + to).step_by(24).find(|at| bytes[at + 6] == index && bytes[at + 4] != 3);
    let symbol = symbol.expect("the program's symbol");
    let length = (8 * slots).to_ne_bytes();
    bytes[code + 24..code + 32].copy_from_slice(&end.to_ne_bytes());
    bytes[code + 32..code + 40].copy_from_slice(&length);
    bytes[symbol + 16..symbol + 24].copy_from_slice(&length);
    // r0 = 0; then (if r0 == 0 goto +0; r0 += 1) over and over; exit.
    bytes.extend([0xb7, 0, 0, 0, 0, 0, 0, 0]);
    for slot in 1..slots - 1 {
        bytes.extend(if slot % 2 == 0 {
            [0x15, 0, 0, 0, 0, 0, 0, 0]
        } else {
            [7, 0, 0, 0, 1, 0, 0, 0]
        });
    }
    bytes.extend([0x95, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn the_largest_object_stays_within_bounds() {
    let target = small_kernel();
    // Find out what the limit allows, then take it to the end.
    let mut slots = 1 << 20;
    while Module::parse("stretched", &stretched(slots)).is_err() {
        slots -= 1 << 14;
    }
    let bytes = stretched(slots);
    let _alone = ALONE.lock();
    MEMORY.start();
    let started = Instant::now();
    assert_eq!(exercise(&bytes, &target), Reached::Laid);
    let peak = MEMORY.peak();
    println!("{slots} slots: {peak} bytes, {:?}", started.elapsed());
    assert!(peak < LIMIT, "{slots} slots took {peak} bytes");
}
