//! Which maps a model has, and what they start with.

use super::super::Random;
use super::super::model::Table;
use super::INTERFACES;

/// `enum bpf_map_type`.
pub(super) mod kind {
    pub(in super::super) const HASH: u32 = 1;
    pub(in super::super) const ARRAY: u32 = 2;
    pub(in super::super) const PROG_ARRAY: u32 = 3;
    pub(in super::super) const PERCPU_HASH: u32 = 5;
    pub(in super::super) const PERCPU_ARRAY: u32 = 6;
    pub(in super::super) const LRU_HASH: u32 = 9;
    pub(in super::super) const LPM_TRIE: u32 = 11;
    pub(in super::super) const DEVMAP: u32 = 14;
    pub(in super::super) const QUEUE: u32 = 22;
    pub(in super::super) const STACK: u32 = 23;
    pub(in super::super) const DEVMAP_HASH: u32 = 25;
}

/// `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: u32 = 1;

/// Values that lookups and updates use are 16 bytes.
fn table(kind: u32, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> Table {
    Table { kind, key_size, value_size, max_entries, flags, initial: Vec::new() }
}

/// An array, a hash, and some others; a program array where there are programs to call.
pub(super) fn choose(random: &mut Random, entries: usize) -> Vec<Table> {
    let mut maps = vec![table(kind::ARRAY, 4, 16, 8, 0)];
    let key = random.pick(&[4, 8]);
    maps.push(table(kind::HASH, key, 16, random.pick(&[4, 16]), random.pick(&[0, NO_PREALLOC])));
    for _ in 0..random.below(4) {
        let key = random.pick(&[4, 8]);
        maps.push(match random.below(8) {
            0 => table(kind::PERCPU_ARRAY, 4, 16, 8, 0),
            1 => table(kind::PERCPU_HASH, key, 16, 16, 0),
            // Far more room than keys: what is evicted when depends on more than the program.
            2 => table(kind::LRU_HASH, key, 16, 1024, 0),
            3 => table(kind::LPM_TRIE, 8, 16, 64, NO_PREALLOC),
            4 => table(kind::QUEUE, 0, 8, 8, 0),
            5 => table(kind::STACK, 0, 8, 8, 0),
            6 => table(kind::DEVMAP_HASH, 4, 4, 8, 0),
            _ => table(kind::DEVMAP, 4, 4, 4, 0),
        });
    }
    if entries > 1 {
        maps.push(table(kind::PROG_ARRAY, 4, 4, 4, 0));
    }
    for map in &mut maps {
        map.initial = initial(random, map, entries);
    }
    maps
}

fn initial(random: &mut Random, map: &Table, entries: usize) -> Vec<(u32, u64)> {
    match map.kind {
        kind::PROG_ARRAY => {
            let targets = 1..entries as u64;
            let mut slots: Vec<(u32, u64)> = (0..).zip(targets).collect();
            if random.chance(20) {
                // A target that can reach itself: the kernel's limit of 33 tail calls ends it.
                slots.push((3, 1));
            }
            slots
        }
        kind::DEVMAP | kind::DEVMAP_HASH => {
            let keys = [0, 1, 3];
            keys.map(|key| (key, u64::from(random.pick(&INTERFACES)))).to_vec()
        }
        kind::QUEUE | kind::STACK => vec![(0, random.word()), (1, random.word())],
        _ => (0..4).map(|key| (key * 2, random.word())).collect(),
    }
}
