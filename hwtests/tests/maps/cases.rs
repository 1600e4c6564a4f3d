//! Operations chosen for each kind: every flag, every error.

use hoist_bpf::module::Map;
use hoist_hwtests::require;

use crate::both::{Action, Both, map};

const ANY: u64 = 0;
const NOEXIST: u64 = 1;
const EXIST: u64 = 2;
const LOCK: u64 = 4;
/// Flags for updates, wrong ones too.
const FLAGS: [u64; 7] = [ANY, NOEXIST, EXIST, 3, LOCK, 8, 1 << 40];

const NO_PREALLOC: u32 = 1;
const NO_COMMON_LRU: u32 = 2;
const RDONLY: u32 = 8;
const WRONLY: u32 = 16;

/// Keys to try on a map with numbered or hashed keys.
fn keys(map: &Map) -> Vec<Vec<u8>> {
    if map.key_size == 0 {
        return vec![Vec::new()];
    }
    if map.kind == 11 {
        let prefix = |bits: u32, data: [u8; 4]| [bits.to_ne_bytes(), data].concat();
        return vec![
            prefix(8, [10, 0, 0, 0]),
            prefix(32, [10, 1, 2, 3]),
            prefix(24, [10, 1, 2, 0]),
            prefix(0, [0; 4]),
            prefix(33, [10, 1, 2, 3]),
            prefix(16, [192, 168, 0, 0]),
            prefix(9, [10, 128, 0, 0]),
        ];
    }
    let key = |number: u32| {
        let mut key = vec![0; map.key_size as usize];
        key[..4].copy_from_slice(&number.to_ne_bytes());
        key
    };
    [0, 1, 2, 3, 4, 5, u32::MAX].map(key).to_vec()
}

/// Values that the kind takes, and some that it does not.
fn values(map: &Map, bytes: usize) -> Vec<Vec<u8>> {
    let word = |first: u32, second: u32| {
        let mut value = [first.to_ne_bytes(), second.to_ne_bytes()].concat();
        value.truncate(bytes);
        value
    };
    match map.kind {
        14 | 25 => vec![word(1, 0), word(0, 0), word(77_777, 0), word(1, 9999), word(0, 5)],
        16 => vec![word(192, 0), word(0, 0), word(16_384, 0), word(16_385, 0), word(64, 9999)],
        17 => vec![word(u32::MAX, 0)],
        3 | 4 | 12 | 13 => vec![word(9999, 0), word(u32::MAX, 0)],
        // The padding of per-CPU values is not part of what is compared.
        _ => [0x11_u8, 0x22].map(|byte| padded(map, bytes, byte)).to_vec(),
    }
}

fn padded(map: &Map, bytes: usize, byte: u8) -> Vec<u8> {
    let mut value = vec![byte; bytes];
    let one = map.value_size as usize;
    if bytes != one && !one.is_multiple_of(8) {
        for cpu in value.chunks_mut(one.next_multiple_of(8)) {
            cpu[one..].fill(0);
        }
    }
    value
}

/// Whether programs may look values up, change them, push them.
fn for_programs(kind: u32) -> (bool, bool, bool) {
    match kind {
        1 | 2 | 5 | 6 | 9 | 10 | 11 => (true, true, false),
        14 | 25 => (true, false, false),
        22 | 23 => (false, false, true),
        _ => (false, false, false),
    }
}

/// All that is done to a map of a kind, in order.
fn script(map: &Map, bytes: usize) -> Vec<Action> {
    let (keys, values) = (keys(map), values(map, bytes));
    let (lookups, changes, pushes) = for_programs(map.kind);
    let one = |value: &Vec<u8>| value[..map.value_size as usize].to_vec();
    let mut script = vec![Action::Next(None)];
    for round in 0..3 {
        for key in &keys {
            script.push(Action::Lookup(key.clone()));
            for (at, flags) in FLAGS.into_iter().enumerate() {
                for value in values.iter().skip((at + round) % values.len()) {
                    script.push(Action::Update(key.clone(), value.clone(), flags));
                    script.push(Action::Lookup(key.clone()));
                    if changes {
                        script.push(Action::ProgramUpdate(key.clone(), one(value), flags));
                    }
                    if pushes {
                        script.push(Action::Push(one(value), flags));
                        script.push(Action::Peek);
                    }
                    if lookups {
                        script.push(Action::ProgramLookup(key.clone()));
                    }
                }
            }
            script.push(Action::Next(Some(key.clone())));
        }
        for key in keys.iter().skip(round) {
            let by_program = changes && round % 2 == 1;
            script.push(if by_program {
                Action::ProgramDelete(key.clone())
            } else {
                Action::Delete(key.clone())
            });
            script.push(Action::Delete(key.clone()));
            script.push(Action::Lookup(key.clone()));
            if pushes {
                script.extend([Action::Pop, Action::Peek, Action::Pop, Action::Pop]);
            }
        }
    }
    script.push(Action::Freeze);
    script.push(Action::Freeze);
    script.push(Action::Update(keys[0].clone(), values[0].clone(), ANY));
    script.push(Action::Delete(keys[0].clone()));
    script.push(Action::Lookup(keys[0].clone()));
    script
}

/// Kinds whose walks follow buckets that depend on a random seed.
pub(crate) const fn is_unordered(kind: u32) -> bool {
    matches!(kind, 1 | 5 | 9 | 10 | 13)
}

/// How many entries an LRU map frees at once depends on its size since Linux 6.17, as here; it was a
/// constant before.
pub(crate) fn evicts_alike(kind: u32) -> bool {
    !matches!(kind, 9 | 10) || require::kernel(6, 17)
}

/// The maps to compare.
fn table() -> Vec<Map> {
    let mut maps = vec![
        map(2, 4, 12, 4, 0),
        map(2, 4, 8, 1, RDONLY),
        map(2, 4, 8, 3, WRONLY),
        map(6, 4, 12, 4, 0),
        map(6, 4, 8, 4, 0),
        map(1, 4, 8, 3, 0),
        map(1, 7, 3, 3, NO_PREALLOC),
        map(1, 64, 100, 4, 0),
        map(5, 4, 12, 3, 0),
        map(5, 8, 8, 3, NO_PREALLOC),
        map(9, 4, 8, 3, 0),
        map(9, 4, 8, 3, NO_COMMON_LRU),
        map(10, 4, 8, 3, 0),
        map(10, 4, 16, 4, NO_COMMON_LRU),
        map(11, 8, 8, 4, NO_PREALLOC),
        map(11, 8, 5, 100, NO_PREALLOC),
        map(3, 4, 4, 4, 0),
        map(4, 4, 4, 4, 0),
        map(14, 4, 4, 4, 0),
        map(14, 4, 8, 4, 0),
        map(25, 4, 8, 3, 0),
        map(25, 4, 4, 5, 0),
        map(16, 4, 4, 4, 0),
        map(16, 4, 8, 2, 0),
        map(17, 4, 4, 4, 0),
        map(22, 0, 8, 3, 0),
        map(22, 0, 5, 1, 0),
        map(23, 0, 8, 3, 0),
        map(23, 0, 12, 2, 0),
        map(27, 0, 0, 4096, 0),
    ];
    for kind in [12, 13] {
        let inner = Some(Box::new(map(2, 4, 8, 2, 0)));
        maps.push(Map { inner, ..map(kind, 4, 4, 3, 0) });
    }
    maps
}

#[test]
fn chosen_operations_have_the_kernels_results() {
    if !require::veth("chosen_operations_have_the_kernels_results") {
        return;
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for map in table() {
        if !evicts_alike(map.kind) {
            continue;
        }
        let mut both = Both::new(&map);
        for action in script(&map, both.value_bytes()) {
            let (kernel, ours) = both.act(&action);
            count += 1;
            let order = matches!(&action, Action::Next(Some(_))) && is_unordered(map.kind);
            if kernel != ours && !order {
                wrong.push(format!("{map:?}\n  {action:?}: kernel {kernel:?}, ours {ours:?}"));
                break;
            }
        }
        let (mut kernel, mut ours) = both.contents();
        if is_unordered(map.kind) {
            kernel.sort();
            ours.sort();
        }
        if kernel != ours {
            wrong.push(format!("{map:?}\n  kernel {kernel:?}\n  ours {ours:?}"));
        }
    }
    assert!(count > 5_000, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
