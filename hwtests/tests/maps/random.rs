//! Random operations: small maps and few keys, so that they are often full, and keys often there.

use hoist_bpf::module::Map;
use hoist_hwtests::require;

use crate::both::{Action, Both, map};
use crate::cases::{evicts_alike, is_unordered};

/// A small generator with a fixed beginning, so that a failure happens again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

/// Maps and how many different keys are used on them.
fn maps() -> Vec<(Map, u64)> {
    vec![
        (map(2, 4, 8, 6, 0), 8),
        (map(6, 4, 8, 6, 0), 8),
        (map(1, 4, 8, 6, 0), 10),
        (map(1, 16, 24, 40, 1), 60),
        (map(5, 4, 8, 6, 0), 10),
        (map(5, 4, 8, 6, 1), 10),
        (map(9, 4, 8, 2, 0), 8),
        (map(9, 4, 8, 8, 0), 12),
        (map(9, 4, 8, 8, 2), 12),
        (map(9, 4, 8, 100, 0), 150),
        (map(9, 4, 8, 100, 2), 150),
        (map(9, 4, 8, 1000, 0), 1500),
        (map(10, 4, 8, 8, 0), 12),
        (map(10, 4, 8, 100, 0), 150),
        (map(10, 4, 8, 100, 2), 150),
        (map(11, 8, 8, 20, 1), 64),
        (map(11, 5, 8, 300, 1), 512),
        (map(11, 20, 8, 30, 1), 64),
        (map(25, 4, 4, 6, 0), 40),
        (map(22, 0, 8, 5, 0), 1),
        (map(23, 0, 8, 5, 0), 1),
    ]
}

fn key(map: &Map, random: &mut Random, keys: u64) -> Vec<u8> {
    let number = random.below(keys);
    let size = map.key_size as usize;
    if map.kind != 11 {
        let mut key = vec![0; size];
        let len = size.min(4);
        key[..len].copy_from_slice(&(number as u32).to_ne_bytes()[..len]);
        return key;
    }
    // Few bits that differ, at both ends of the prefix.
    let data = size - 4;
    let bits =
        [0, 1, 3, 4, 7, 8, 12, 8 * data as u64, 8 * data as u64 - 1][random.below(9) as usize];
    let mut key = (bits.min(8 * data as u64) as u32).to_ne_bytes().to_vec();
    let mut bytes = vec![0_u8; data];
    bytes[0] = (number as u8).reverse_bits();
    bytes[data - 1] ^= (number >> 3) as u8;
    key.extend(bytes);
    key
}

fn action(map: &Map, bytes: usize, random: &mut Random, keys: u64) -> Action {
    let key = key(map, random, keys);
    let flags = [0, 0, 0, 0, 1, 2][random.below(6) as usize];
    let mut value: Vec<u8> = random.next().to_ne_bytes().into_iter().cycle().take(bytes).collect();
    if map.kind == 25 {
        value.copy_from_slice(&1_u32.to_ne_bytes());
    }
    let one = value[..map.value_size as usize].to_vec();
    let stored = matches!(map.kind, 22 | 23);
    let read_only = map.kind == 25;
    let choice = random.below(12);
    if stored {
        return match choice {
            0..3 => Action::Push(one, flags & 2),
            3..6 => Action::Pop,
            6..8 => Action::Peek,
            8..10 => Action::Update(key, value, flags),
            10 => Action::Delete(key),
            _ => Action::Lookup(key),
        };
    }
    match choice {
        0..3 => Action::Update(key, value, flags),
        3..5 if !read_only => Action::ProgramUpdate(key, one, flags),
        5 if !read_only => Action::ProgramDelete(key),
        6 => Action::Delete(key),
        7..10 => Action::ProgramLookup(key),
        _ => Action::Lookup(key),
    }
}

#[test]
fn random_operations_have_the_kernels_results() {
    if !require::veth("random_operations_have_the_kernels_results") {
        return;
    }
    let steps: u64 = std::env::var("HOIST_MAP_STEPS").map_or(6_000, |text| text.parse().unwrap());
    for (number, (map, keys)) in maps().into_iter().enumerate() {
        if !evicts_alike(map.kind) {
            continue;
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15 + number as u64);
        let mut both = Both::new(&map);
        let mut last = Vec::new();
        for step in 0..steps {
            let action = action(&map, both.value_bytes(), &mut random, keys);
            let (kernel, ours) = both.act(&action);
            last.push(format!("{action:?}: {kernel:?}"));
            let tail = last.len().saturating_sub(20);
            assert_eq!(kernel, ours, "{map:?}\nstep {step}: {}", last[tail..].join("\n"));
            if step % 97 == 0 && map.key_size != 0 {
                let (mut kernel, mut ours) = both.contents();
                if is_unordered(map.kind) {
                    kernel.sort();
                    ours.sort();
                }
                assert_eq!(kernel, ours, "{map:?}\nstep {step}: {}", last[tail..].join("\n"));
            }
        }
    }
}
