//! Which definitions the kernel takes, and with which errors it refuses the others.

use hoist_bpf::kernel::{Kernel as _, Linux, errno_text};
use hoist_bpf::module::Map;
use hoist_hwtests::require;

use crate::both::{kernels, map, ours};

const KINDS: [u32; 18] = [1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 16, 17, 22, 23, 25, 30];
const KEYS: [u32; 8] = [0, 1, 4, 5, 8, 16, 260, 261];
const VALUES: [u32; 7] = [0, 1, 4, 8, 12, 32_768, 32_769];
const ENTRIES: [u32; 4] = [0, 1, 3, 4096];
/// Every flag on its own, and those that go ill together.
const FLAGS: [u32; 20] = [
    0,
    1,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 4,
    1 << 5,
    1 << 6,
    1 << 7,
    1 << 8,
    1 << 9,
    1 << 10,
    1 << 11,
    1 << 12,
    1 << 13,
    3 << 3,
    3 << 7,
    1 | 1 << 1,
    1 << 1 | 1 << 2,
    1 | 1 << 2 | 1 << 3 | 1 << 7,
];

fn with_inner(map: Map) -> Map {
    let of_maps = matches!(map.kind, 12 | 13);
    Map { inner: of_maps.then(|| Box::new(self::map(2, 4, 8, 2, 0))), ..map }
}

/// Sizes and flags around what each kind takes.
fn definitions() -> Vec<Map> {
    let mut all = Vec::new();
    for kind in KINDS {
        // A trie needs a flag that nobody else may have.
        let usual = u32::from(kind == 11);
        for key in KEYS {
            for value in VALUES {
                for entries in ENTRIES {
                    all.push(map(kind, key, value, entries, usual));
                }
            }
        }
        let key = match kind {
            22 | 23 | 30 => 0,
            11 => 8,
            _ => 4,
        };
        for flags in FLAGS {
            for value in [4, 8] {
                all.push(map(kind, key, value, 4, flags));
                all.push(map(kind, key, value, 5, flags | usual));
            }
        }
        for value in [4 << 20, (4 << 20) - 300, (4 << 20) - 52, (4 << 20) - 53, u32::MAX] {
            // Arrays may be as large as there is memory.
            if value <= 4 << 20 || kind != 2 {
                all.push(map(kind, key, value, 1, usual));
            }
        }
        all.push(Map { extra: 3, ..map(kind, key, 4, 4, usual) });
        all.push(Map { extra: 16, ..map(kind, key, 4, 4, usual) });
    }
    for entries in [0, 1, 4095, 4096, 4097, 8192, 12_288, 1 << 20] {
        all.push(map(27, 0, 0, entries, 0));
    }
    for flags in FLAGS {
        all.push(map(27, 0, 0, 4096, flags));
    }
    all.extend([map(27, 4, 0, 4096, 0), map(27, 0, 4, 4096, 0)]);
    all.extend([map(16, 4, 4, 8193, 0), map(25, 4, 4, (1 << 31) + 1, 0)]);
    all.into_iter().map(with_inner).collect()
}

/// libbpf rounds ring buffers up and gives perf event arrays their size, and so do we; how many CPUs
/// there can be at most is the kernel's configuration.
const fn is_settled_before(map: &Map) -> bool {
    match map.kind {
        4 => map.max_entries == 0,
        16 => map.max_entries == 4096,
        27 => map.max_entries < 4096 || !map.max_entries.is_power_of_two(),
        _ => false,
    }
}

#[test]
fn the_kernel_takes_and_refuses_the_same_definitions() {
    if !require::veth("the_kernel_takes_and_refuses_the_same_definitions") {
        return;
    }
    let linux = Linux::new().unwrap();
    let cpus = linux.possible_cpus().unwrap();
    let mut wrong = Vec::new();
    let (mut taken, mut refused) = (0, 0);
    for map in definitions() {
        if is_settled_before(&map) {
            continue;
        }
        let kernel = kernels(&linux, &map).map(drop).map_err(|error| error.errno);
        match (&kernel, ours(vec![map.clone()], cpus)) {
            (Ok(()), Ok(_)) => taken += 1,
            (Err(errno), Err(message)) if message.contains(&errno_text(*errno)) => refused += 1,
            (_, ours) => {
                let ours = ours.map(drop);
                let Map { kind, key_size, value_size, max_entries, flags, extra, .. } = map;
                wrong.push(format!(
                    "kind {kind} key {key_size} value {value_size} entries {max_entries} flags \
                     {flags:#x} extra {extra}: kernel {kernel:?}, ours {ours:?}"
                ));
            }
        }
    }
    assert!(taken > 200 && refused > 2000, "{taken} taken, {refused} refused");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
