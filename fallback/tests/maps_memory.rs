//! What maps cost: memory by the entry, and nothing before entries are there. A process of its own,
//! so that nobody else's memory is counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;

use hoist_bpf::module::{Map, MapId, Module, ProgramId};
use hoist_fallback::userspace::maps::{Maps, Options};

const MAP: MapId = MapId(0);
const PAGE: u64 = 4096;

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}

fn maps(kind: u32, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> Maps {
    let name = format!("kind{kind}");
    let map = Map { name, kind, key_size, value_size, max_entries, flags, ..Map::default() };
    let module = Module {
        name: "maps".to_owned(),
        license: String::new(),
        programs: Vec::new(),
        functions: Vec::new(),
        maps: vec![map],
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    };
    let contents = BTreeMap::from([(MAP, Vec::new())]);
    Maps::new(&module, ProgramId(0), &contents, &Options::default()).unwrap()
}

/// Bytes that `entries` entries take, in a map of that size.
fn cost(kind: u32, key_size: u32, value_size: u32, entries: u32, flags: u32) -> u64 {
    let before = resident();
    let mut maps = maps(kind, key_size, value_size, entries, flags);
    let value = vec![0x5a; value_size as usize];
    let mut key = vec![0; key_size as usize];
    for number in 0..entries {
        key[..4].copy_from_slice(&number.to_ne_bytes());
        maps.update(MAP, &key, &value, 0).unwrap();
    }
    assert_eq!(maps.user().lookup(MAP, &key, 0), Ok(value));
    let cost = resident().saturating_sub(before);
    // What is given back would be used again unseen.
    std::mem::forget(maps);
    cost
}

#[test]
fn maps_take_memory_as_they_fill_and_not_too_much() {
    empty_maps_take_next_to_nothing();
    a_million_entries_cost_at_most_half_again_and_64_bytes_each();
}

fn a_million_entries_cost_at_most_half_again_and_64_bytes_each() {
    const ENTRIES: u32 = 1_000_000;
    for (what, kind, key, value, flags) in [
        ("hash, small", 1, 4, 4, 0),
        ("hash, flows", 1, 16, 8, 0),
        ("hash, not preallocated", 1, 16, 8, 1),
        ("hash, large", 1, 40, 64, 0),
        ("per-CPU hash of one CPU", 5, 16, 8, 0),
        ("LRU hash", 9, 16, 8, 0),
        ("LRU hash, lists by CPU", 9, 16, 8, 2),
    ] {
        let each = cost(kind, key, value, ENTRIES, flags) as f64 / f64::from(ENTRIES);
        let limit = 1.5 * f64::from(key + value) + 64.0;
        println!("{what}: {each:.1} bytes an entry, at most {limit}");
        assert!(each <= limit, "{what}: {each:.1} bytes an entry, more than {limit}");
        assert!(each >= f64::from(key + value), "{what}: {each:.1} bytes were measured");
    }
}

fn empty_maps_take_next_to_nothing() {
    // Far more than there is memory for: what counts is what is used.
    for (what, kind, key, value, entries, flags) in [
        ("array", 2, 4, 4096, 1 << 22, 0),
        ("per-CPU array", 6, 4, 4096, 1 << 20, 0),
        ("hash", 1, 8, 4096, 1 << 20, 0),
        ("trie", 11, 8, 4096, 1 << 22, 1),
        ("queue", 22, 0, 4096, 1 << 22, 0),
        ("ring buffer", 27, 0, 0, 1 << 30, 0),
        ("devmap", 14, 4, 8, 1 << 28, 0),
    ] {
        let before = resident();
        let map = maps(kind, key, value, entries, flags);
        let used = resident().saturating_sub(before);
        println!("{what}: {used} bytes when empty");
        assert!(used < 8 << 20, "{what}: {used} bytes before anything is in it");
        drop(map);
    }
}
