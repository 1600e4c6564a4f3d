//! Maps: entries, batches, per-CPU values, pins.

use std::os::fd::AsFd;

use hoist_bpf::kernel::{Kernel, MapSpec};

use crate::bench::Bench;

fn map(kind: u32, key_size: u32, max_entries: u32, flags: u32) -> MapSpec<'static> {
    let name = "table/of entries".to_owned();
    MapSpec { name, kind, key_size, value_size: 12, max_entries, flags, ..Default::default() }
}

#[test]
fn entries_of_every_kind() {
    let Some(bench) = Bench::new("entries_of_every_kind") else { return };
    let cpus = bench.kernel.possible_cpus().unwrap();
    let lpm_keys_need = 1;
    // Kind, key bytes, creation flags, bytes of a whole value.
    let cases = [
        ("hash", 1, 4, 0, 12),
        ("array", 2, 4, 0, 12),
        ("per-CPU hash", 5, 4, 0, 16 * cpus),
        ("per-CPU array", 6, 4, 0, 16 * cpus),
        ("LRU hash", 9, 4, 0, 12),
        ("LPM trie", 11, 8, lpm_keys_need, 12),
    ];
    const ENTRIES: u32 = 5000;
    const LAST: u32 = ENTRIES - 1;
    for (name, kind, key_size, flags, value_len) in cases {
        let map = bench.kernel.create_map(&map(kind, key_size, ENTRIES, flags)).unwrap();
        let map = map.as_fd();
        let info = bench.kernel.map_info(map).unwrap();
        assert_eq!((info.kind, info.name.as_str()), (kind, "table_of_entrie"), "{name}");
        let key = |i: u32| {
            if kind == 11 {
                [32_u32.to_ne_bytes(), i.to_be_bytes()].concat()
            } else {
                i.to_ne_bytes().to_vec()
            }
        };
        let value = |i: u32| {
            let mut value = i.to_ne_bytes().repeat(value_len / 4);
            // Padding of a per-CPU value comes back as zeroes.
            value.chunks_exact_mut(16).filter(|_| value_len != 12).for_each(|v| v[12..].fill(0));
            value
        };
        // One by one and all at once.
        for i in 0..ENTRIES / 2 {
            bench.kernel.map_update(map, &key(i), &value(i), 0).unwrap();
        }
        let rest: Vec<_> = (ENTRIES / 2..ENTRIES).map(|i| (key(i), value(i))).collect();
        bench.kernel.map_update_entries(map, &rest).unwrap();
        let found = bench.kernel.map_lookup(map, &key(LAST), value_len).unwrap();
        assert_eq!(found, Some(value(LAST)), "{name}");
        let mut entries = bench.kernel.map_entries(map, key_size as usize, value_len).unwrap();
        // An LRU map may evict before it is full: its free lists are per CPU.
        assert!(entries.len() == ENTRIES as usize || kind == 9, "{name}: {}", entries.len());
        entries.sort();
        entries.dedup_by(|a, b| a.0 == b.0);
        assert!(entries.len() == ENTRIES as usize || kind == 9, "{name}: doubles");
        for (found, content) in &entries {
            let tail: [u8; 4] = found[found.len() - 4..].try_into().unwrap();
            let i = if kind == 11 { u32::from_be_bytes(tail) } else { u32::from_ne_bytes(tail) };
            assert_eq!(*content, value(i), "{name} {i}");
        }
        let deleted = bench.kernel.map_delete(map, &key(LAST));
        if [2, 6].contains(&kind) {
            assert_eq!(deleted.unwrap_err().errno, libc::EINVAL, "{name}");
        } else {
            assert!(deleted.unwrap(), "{name}");
            assert!(!bench.kernel.map_delete(map, &key(LAST)).unwrap(), "{name}");
            assert_eq!(bench.kernel.map_lookup(map, &key(LAST), value_len).unwrap(), None);
        }
    }
}

#[test]
fn wrong_sizes_are_refused_before_the_kernel_sees_them() {
    let Some(bench) = Bench::new("wrong_sizes_are_refused_before_the_kernel_sees_them") else {
        return;
    };
    let map = bench.kernel.create_map(&map(1, 4, 8, 0)).unwrap();
    let map = map.as_fd();
    let errors = [
        bench.kernel.map_lookup(map, &[0; 3], 12).unwrap_err(),
        bench.kernel.map_lookup(map, &[0; 4], 11).unwrap_err(),
        bench.kernel.map_update(map, &[0; 4], &[0; 4], 0).unwrap_err(),
        bench.kernel.map_delete(map, &[]).unwrap_err(),
        bench.kernel.map_next_key(map, None, 5).unwrap_err(),
        bench.kernel.map_entries(map, 4, 16).unwrap_err(),
        bench.kernel.map_update_entries(map, &[(vec![0; 4], vec![0; 4])]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.errno, libc::EINVAL);
        assert!(error.to_string().contains("the map's have"), "{error}");
    }
}

#[test]
fn frozen_and_full_maps_say_so() {
    let Some(bench) = Bench::new("frozen_and_full_maps_say_so") else { return };
    let map = bench.kernel.create_map(&map(1, 4, 1, 0)).unwrap();
    let map = map.as_fd();
    bench.kernel.map_update(map, &[0; 4], &[1; 12], 0).unwrap();
    let full = bench.kernel.map_update(map, &[1; 4], &[1; 12], 0).unwrap_err();
    assert_eq!(full.errno, libc::E2BIG);
    // The entry that still fits is written, and the one that does not is named by its operation.
    let entries = [(vec![0; 4], vec![2; 12]), (vec![1; 4], vec![2; 12])];
    let full = bench.kernel.map_update_entries(map, &entries).unwrap_err();
    assert_eq!((full.errno, full.operation.as_str()), (libc::E2BIG, "BPF_MAP_UPDATE_ELEM"));
    assert_eq!(bench.kernel.map_lookup(map, &[0; 4], 12).unwrap(), Some(vec![2; 12]));
    let exists = bench.kernel.map_update(map, &[0; 4], &[1; 12], 1).unwrap_err();
    assert_eq!(exists.errno, libc::EEXIST);
    bench.kernel.map_freeze(map).unwrap();
    let frozen = bench.kernel.map_update(map, &[0; 4], &[1; 12], 0).unwrap_err();
    assert_eq!(frozen.errno, libc::EPERM);
    assert_eq!(
        frozen.to_string(),
        "BPF_MAP_UPDATE_ELEM map table_of_entrie: Operation not permitted (EPERM)"
    );
}

#[test]
fn pins_outlive_their_descriptors() {
    let Some(bench) = Bench::new("pins_outlive_their_descriptors") else { return };
    let sub = format!("hoist-door-{}", std::process::id());
    let directory = bench.kernel.bpffs(&sub).unwrap();
    let path = directory.join("table");
    let map = bench.kernel.create_map(&map(1, 4, 8, 0)).unwrap();
    let id = bench.kernel.map_info(map.as_fd()).unwrap().id;
    bench.kernel.pin(map.as_fd(), &path).unwrap();
    drop(map);
    assert_eq!(bench.kernel.list_directory(&directory).unwrap(), ["table"]);
    let found = bench.kernel.get_pinned(&path).unwrap().unwrap();
    assert_eq!(bench.kernel.map_info(found.as_fd()).unwrap().id, id);
    assert_eq!(bench.kernel.pin(found.as_fd(), &path).unwrap_err().errno, libc::EEXIST);
    bench.kernel.unpin(&path).unwrap();
    bench.kernel.unpin(&path).unwrap();
    assert!(bench.kernel.get_pinned(&path).unwrap().is_none());
    bench.kernel.make_directory(&directory.join("deeper/still")).unwrap();
    bench.kernel.remove_directory(&directory).unwrap();
    bench.kernel.remove_directory(&directory).unwrap();
    assert!(bench.kernel.list_directory(&directory).unwrap().is_empty());
}
