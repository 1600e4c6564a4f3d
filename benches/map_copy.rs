//! Copying the entries of one map to another, as `hoist map copy` does: read all, write all.

use std::os::fd::{AsFd, OwnedFd};

use criterion::{Criterion, criterion_group, criterion_main};
use hoist_bpf::kernel::{Kernel, Linux, MapSpec};
use hoist_hwtests::require;

const ENTRIES: u32 = 10_000;
const KEY: usize = 16;
const VALUE: usize = 8;
/// `BPF_MAP_TYPE_HASH` and `BPF_MAP_TYPE_ARRAY`.
const KINDS: [(&str, u32, usize); 2] = [("hash", 1, KEY), ("array", 2, 4)];

fn map(kernel: &Linux, kind: u32, key_bytes: usize) -> OwnedFd {
    let spec = MapSpec {
        name: "bench".to_owned(),
        kind,
        key_size: key_bytes as u32,
        value_size: VALUE as u32,
        max_entries: ENTRIES,
        ..MapSpec::default()
    };
    kernel.create_map(&spec).expect("a kernel with BPF")
}

fn copy(c: &mut Criterion) {
    if !require::veth("map_copy") {
        return;
    }
    let kernel = Linux::new().expect("a kernel with BPF");
    let mut group = c.benchmark_group("map copy");
    for (name, kind, key_bytes) in KINDS {
        let (from, to) = (map(&kernel, kind, key_bytes), map(&kernel, kind, key_bytes));
        let entries: Vec<(Vec<u8>, Vec<u8>)> = (0..ENTRIES)
            .map(|number| {
                let mut key = vec![0; key_bytes];
                key[..4].copy_from_slice(&number.to_ne_bytes());
                (key, vec![1; VALUE])
            })
            .collect();
        kernel.map_update_entries(from.as_fd(), &entries).expect("room for all entries");
        group.bench_function(format!("{ENTRIES} entries, {name}"), |b| {
            b.iter(|| {
                let all =
                    kernel.map_entries(from.as_fd(), key_bytes, VALUE).expect("a map to read");
                kernel.map_update_entries(to.as_fd(), &all).expect("room for all entries");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, copy);
criterion_main!(benches);
