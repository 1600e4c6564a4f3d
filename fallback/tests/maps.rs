//! What programs see of maps through their addresses, and what user space sees of what they write.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hoist_bpf::module::{FunctionId, Target};
use hoist_bpf::module::{InitialSlot, Map, MapId, Module, Program, ProgramHint, ProgramId};
use hoist_fallback::userspace::maps::{
    self, Denied, Errno, Event, Failure, Found, Maps, Options, Redirect,
};
use hoist_fallback::userspace::vm::FaultKind;

const MAP: MapId = MapId(0);
const OTHER: MapId = MapId(1);
const CPUS: u32 = 3;

const RDONLY_PROG: u32 = 1 << 7;
const WRONLY_PROG: u32 = 1 << 8;

fn map(kind: u32, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> Map {
    let name = format!("kind{kind}");
    Map { name, kind, key_size, value_size, max_entries, flags, ..Map::default() }
}

fn program(name: &str, hint: ProgramHint) -> Program {
    let (name, section) = (name.to_owned(), "xdp".to_owned());
    Program { name, section, function: FunctionId(7), hint, frags: false }
}

fn try_maps(maps: Vec<Map>) -> Result<Maps, Vec<String>> {
    let contents: BTreeMap<_, _> =
        (0..maps.len()).map(|at| (MapId(at as u32), Vec::new())).collect();
    let module = Module {
        name: "maps".to_owned(),
        license: String::new(),
        programs: vec![
            program("main", ProgramHint::Xdp),
            program("egress", ProgramHint::XdpDevmap),
            program("remote", ProgramHint::XdpCpumap),
        ],
        functions: Vec::new(),
        maps,
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    };
    let options = Options { cpus: CPUS, interfaces: None };
    Maps::new(&module, ProgramId(0), &contents, &options)
        .map_err(|gaps| gaps.into_iter().map(|gap| format!("{}: {gap}", gap.code)).collect())
}

fn maps(maps: Vec<Map>) -> Maps {
    try_maps(maps).unwrap()
}

fn key(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

/// The offset of a value that a program looks up.
fn look(maps: &mut Maps, number: u32) -> Option<u64> {
    match maps.lookup(MAP, &key(number)).unwrap() {
        Some(Found::Value(address)) => Some(address & ((1 << 48) - 1)),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

fn read(maps: &Maps, offset: u64) -> Result<u64, &'static str> {
    let bytes = maps.value(MAP, offset, 8).map_err(|fault| fault.code())?;
    Ok(u64::from_ne_bytes(bytes.try_into().unwrap()))
}

#[test]
fn a_value_that_went_stays_until_the_run_ends() {
    let value = |number: u64| number.to_ne_bytes();
    // Kind, flags, whether an update leaves the old value where it was.
    for (kind, flags, moves) in
        [(1, 0, true), (1, 1, true), (9, 0, true), (5, 0, false), (10, 0, false)]
    {
        let mut maps = maps(vec![map(kind, 4, 8, 3, flags)]);
        maps.update(MAP, &key(1), &value(11), 0).unwrap();
        let first = look(&mut maps, 1).unwrap();
        maps.update(MAP, &key(1), &value(12), 0).unwrap();
        assert_eq!(read(&maps, first), Ok(if moves { 11 } else { 12 }), "kind {kind}");
        let second = look(&mut maps, 1).unwrap();
        assert_eq!(read(&maps, second), Ok(12), "kind {kind}");
        maps.delete(MAP, &key(1)).unwrap();
        assert_eq!(look(&mut maps, 1), None);
        for other in 2..5 {
            maps.update(MAP, &key(other), &value(99), 0).unwrap();
        }
        assert_eq!(read(&maps, second), Ok(12), "kind {kind}: used again within the run");
        maps.end_run();
        assert_eq!(read(&maps, second), Err("use-after-delete"), "kind {kind}");
        let gone = maps.value_mut(MAP, second, 8).map(drop).unwrap_err();
        assert!(matches!(gone, FaultKind::UseAfterDelete { .. }), "kind {kind}: {gone:?}");
    }
}

#[test]
fn a_run_may_delete_more_than_there_are_places_to_spare() {
    for (kind, flags) in [(1, 0), (9, 0), (11, 1)] {
        let key_size = if kind == 11 { 8 } else { 4 };
        let mut maps = maps(vec![map(kind, key_size, 8, 2, flags)]);
        for number in 0..5000_u32 {
            let mut key = vec![0; key_size as usize];
            key[..4].copy_from_slice(&number.to_ne_bytes());
            if kind == 11 {
                key[..4].copy_from_slice(&32_u32.to_ne_bytes());
                key[4..].copy_from_slice(&number.to_be_bytes());
            }
            maps.update(MAP, &key, &[1; 8], 0).unwrap();
            assert!(maps.lookup(MAP, &key).unwrap().is_some(), "kind {kind}: {number}");
            maps.delete(MAP, &key).unwrap();
        }
        maps.end_run();
        assert_eq!(maps.user().next_key(MAP, None), Ok(None), "kind {kind}");
    }
}

#[test]
fn accesses_stay_within_one_value() {
    for (kind, flags) in [(2, 0), (6, 0), (1, 0), (5, 0), (9, 0), (10, 2), (11, 1)] {
        let key_size = if kind == 11 { 8 } else { 4 };
        let mut maps = maps(vec![map(kind, key_size, 12, 3, flags)]);
        let mut key = vec![0; key_size as usize];
        key[0] = 1;
        maps.update(MAP, &key, &[7; 12], 0).unwrap();
        let Some(Found::Value(address)) = maps.lookup(MAP, &key).unwrap() else { panic!() };
        let at = address & ((1 << 48) - 1);
        for (offset, len, good) in [
            (0, 12, true),
            (11, 1, true),
            (12, 0, true),
            (0, 13, false),
            (12, 1, false),
            (8, 8, false),
            (0, u64::MAX, false),
            (4, u64::MAX - 3, false),
        ] {
            let place = at + offset;
            assert_eq!(maps.value(MAP, place, len).is_ok(), good, "kind {kind}: {offset}+{len}");
            let write = maps.value_mut(MAP, place, len).is_ok();
            assert_eq!(write, good, "kind {kind}: {offset}+{len}");
            let pointer = maps.resolve(MAP, place, len, true).is_ok();
            assert_eq!(pointer, good, "kind {kind}: {offset}+{len}");
        }
        let fault = maps.value(MAP, at + 12, 4).unwrap_err();
        assert!(matches!(fault, FaultKind::OutOfBounds { .. }), "kind {kind}: {fault:?}");
        for wild in [1 << 40, (1 << 48) - 1, (1 << 48) - 8] {
            assert!(maps.value(MAP, wild, 8).is_err(), "kind {kind}: {wild:#x}");
        }
    }
    let mut maps = maps(vec![map(2, 4, 8, 1, 0)]);
    let fault = maps.resolve(MapId(9), 0, 1, false).unwrap_err();
    assert!(matches!(fault, FaultKind::WildAddress(_)), "{fault:?}");
}

#[test]
fn walks_show_every_entry_and_keys_for_reading() {
    for (kind, flags) in [(2, 0), (6, 0), (1, 0), (5, 0), (9, 0), (10, 0)] {
        let mut maps = maps(vec![map(kind, 4, 8, 4, flags)]);
        for number in 0..4_u32 {
            maps.update(MAP, &key(number), &u64::from(number + 50).to_ne_bytes(), 0).unwrap();
        }
        let (mut position, mut seen) = (0, Vec::new());
        while let Some(visit) = maps.walk(MAP, position).unwrap() {
            let offset = |address: u64| address & ((1 << 48) - 1);
            let key = maps.value(MAP, offset(visit.key), 4).unwrap().to_vec();
            seen.push((key[0], read(&maps, offset(visit.value)).unwrap()));
            let write = maps.value_mut(MAP, offset(visit.key), 4).map(drop).unwrap_err();
            assert!(matches!(write, FaultKind::ReadOnly { .. }), "kind {kind}: {write:?}");
            assert!(maps.value(MAP, offset(visit.key), 5).is_err(), "kind {kind}");
            if kind == 1 && seen.len() == 2 {
                maps.delete(MAP, &[key[0], 0, 0, 0]).unwrap();
            }
            position = visit.next;
        }
        assert_eq!(seen, [(0, 50), (1, 51), (2, 52), (3, 53)], "kind {kind}");
    }
}

#[test]
fn programs_keep_to_what_the_map_allows() {
    let mut maps = maps(vec![
        map(2, 4, 8, 2, RDONLY_PROG),
        map(2, 4, 8, 2, WRONLY_PROG),
        map(22, 0, 8, 2, RDONLY_PROG),
    ]);
    assert!(maps.value(MAP, 0, 8).is_ok());
    assert_eq!(maps.value_mut(MAP, 0, 8).map(drop).unwrap_err().code(), "read-only");
    assert_eq!(maps.value(OTHER, 0, 8).map(drop).unwrap_err().code(), "write-only");
    assert!(maps.value_mut(OTHER, 0, 8).is_ok());
    let denied = |map| Err(Failure::Denied(Denied::ReadOnly(map)));
    assert_eq!(maps.update(MAP, &key(0), &[0; 8], 0), denied(MAP));
    assert_eq!(maps.delete(MAP, &key(0)), denied(MAP));
    assert_eq!(maps.push(MapId(2), &[0; 8], 0), denied(MapId(2)));
    assert_eq!(maps.user().update(MAP, &key(0), &[1; 8], 0), Ok(()));
    let wrong = Denied::WrongKind(MAP);
    assert_eq!(maps.push(MAP, &[0; 8], 0), Err(wrong.into()));
    assert_eq!(maps.redirect(MAP, 0), Err(wrong));
    assert_eq!(maps.lookup_percpu(MAP, &key(0), 0), Err(wrong));
    assert_eq!(maps.ringbuf_reserve(MAP, 8, 0), Err(wrong));
    assert_eq!(maps.program(MAP, 0), None);
    assert_eq!(maps.walk(MapId(2), 0), Err(Denied::WrongKind(MapId(2))));
    assert_eq!(maps.lookup(MapId(3), &key(0)), Err(Denied::NoMap(MapId(3))));
}

#[test]
fn each_cpu_has_its_value() {
    for kind in [5, 6, 10] {
        // An LRU map of few entries makes room for the update first, by evicting the key itself.
        let mut maps = maps(vec![map(kind, 4, 4, 64, 0)]);
        for cpu in 0..CPUS {
            maps.set_cpu(cpu);
            maps.update(MAP, &key(1), &key(100 + cpu), 0).unwrap();
        }
        let all = maps.user().lookup(MAP, &key(1), 0).unwrap();
        let values: Vec<&[u8]> = all.chunks(8).map(|value| &value[..4]).collect();
        assert_eq!(values, [key(100), key(101), key(102)], "kind {kind}");
        for cpu in 0..CPUS {
            let Ok(Some(Found::Value(address))) = maps.lookup_percpu(MAP, &key(1), cpu) else {
                panic!("kind {kind}")
            };
            let value = maps.value(MAP, address & ((1 << 48) - 1), 4).unwrap();
            assert_eq!(value, key(100 + cpu), "kind {kind}");
        }
        assert_eq!(maps.lookup_percpu(MAP, &key(1), CPUS), Ok(None), "kind {kind}");
    }
}

#[test]
fn records_come_in_order_and_whole() {
    let mut maps = maps(vec![map(27, 0, 0, 4096, 0)]);
    let reserve = |maps: &mut Maps, size| maps.ringbuf_reserve(MAP, size, 0).unwrap();
    let first = reserve(&mut maps, 10).unwrap();
    let at = first & ((1 << 48) - 1);
    maps.ringbuf_output(MAP, b"second", 0).unwrap();
    assert_eq!(maps.take_record(MAP), Ok(None), "the first is not complete");
    maps.value_mut(MAP, at, 10).unwrap().copy_from_slice(b"first one!");
    assert_eq!(maps.value(MAP, at, 11).map(drop).unwrap_err().code(), "out-of-bounds");
    assert_eq!(maps.ringbuf_query(MAP, 0), Ok(24 + 16));
    assert_eq!(maps.ringbuf_query(MAP, 1), Ok(4096));
    assert_eq!(maps.ringbuf_commit(first + 1, false), Err(Denied::UseAfterDelete(MAP)));
    assert_eq!(maps.ringbuf_commit(first, false), Ok(()));
    assert_eq!(maps.ringbuf_commit(first, false), Err(Denied::UseAfterDelete(MAP)));
    assert_eq!(maps.value(MAP, at, 1).map(drop).unwrap_err().code(), "use-after-delete");
    assert_eq!(maps.take_record(MAP), Ok(Some(b"first one!".to_vec())));
    assert_eq!(maps.take_record(MAP), Ok(Some(b"second".to_vec())));
    assert_eq!(maps.take_record(MAP), Ok(None));
    assert_eq!(maps.ringbuf_reserve(MAP, 8, 1), Ok(None), "flags");
    assert_eq!(reserve(&mut maps, 4089), None, "larger than the buffer");
    assert_eq!(reserve(&mut maps, 4088), None, "the buffer is never quite full");
    assert_eq!(maps.ringbuf_output(MAP, &[0; 4], 4), Err(Errno::EINVAL.into()));
    // Past the end and around, many times.
    for round in 0..100_u8 {
        let big = reserve(&mut maps, 3000).unwrap();
        assert_eq!(maps.ringbuf_output(MAP, &[0; 2000], 0), Err(Errno::EAGAIN.into()));
        maps.value_mut(MAP, big & ((1 << 48) - 1), 3000).unwrap().fill(round);
        maps.ringbuf_output(MAP, &[round; 500], 0).unwrap();
        maps.ringbuf_commit(big, round % 3 == 0).unwrap();
        if round % 3 != 0 {
            assert_eq!(maps.take_record(MAP), Ok(Some(vec![round; 3000])));
        }
        assert_eq!(maps.take_record(MAP), Ok(Some(vec![round; 500])));
    }
    assert_eq!(maps.ringbuf_query(MAP, 2), maps.ringbuf_query(MAP, 3));
}

#[test]
fn events_need_someone_who_takes_them() {
    const CURRENT: u64 = 0xffff_ffff;
    let mut maps = maps(vec![map(4, 4, 4, 2, 0)]);
    let output = |maps: &mut Maps, flags| maps.perf_event_output(MAP, flags, [b"head", b"packet"]);
    assert_eq!(output(&mut maps, CURRENT), Err(Errno::ENOENT.into()));
    maps.open_events(MAP, 64).unwrap();
    assert_eq!(output(&mut maps, CURRENT), Ok(()));
    assert_eq!(output(&mut maps, 1), Err(Errno::EOPNOTSUPP.into()), "another CPU's");
    assert_eq!(output(&mut maps, 2), Err(Errno::E2BIG.into()));
    assert_eq!(output(&mut maps, 0), Ok(()));
    assert_eq!(output(&mut maps, 0), Err(Errno::ENOSPC.into()), "24 bytes each");
    let event = |lost| Event { cpu: 0, data: b"headpacket".to_vec(), lost };
    assert_eq!(maps.take_event(MAP), Ok(Some(event(0))));
    assert_eq!(output(&mut maps, 0), Ok(()));
    assert_eq!(maps.take_event(MAP), Ok(Some(event(0))));
    assert_eq!(maps.take_event(MAP), Ok(Some(event(1))));
    assert_eq!(maps.take_event(MAP), Ok(None));
    maps.set_cpu(2);
    assert_eq!(output(&mut maps, CURRENT), Err(Errno::E2BIG.into()));
}

#[test]
fn references_name_maps_and_programs_of_the_module() {
    for kind in [12, 13] {
        let inner = Some(Box::new(map(2, 4, 8, 2, 0)));
        let initial = vec![InitialSlot { slot: 1, value: Target::Map(OTHER) }];
        let outer = Map { inner, initial, ..map(kind, 4, 4, 3, 0) };
        let other_size = map(2, 4, 8, 3, 0);
        let mut maps = maps(vec![outer, map(2, 4, 8, 2, 0), other_size, map(1, 4, 8, 2, 0)]);
        assert_eq!(maps.lookup(MAP, &key(1)), Ok(Some(Found::Map(OTHER))), "kind {kind}");
        assert_eq!(maps.lookup(MAP, &key(0)), Ok(None), "kind {kind}");
        assert_eq!(maps.user().lookup(MAP, &key(1), 0), Ok(key(2).to_vec()), "kind {kind}");
        for (value, expected) in [
            (2, Ok(())),
            (3, Err(Errno::EINVAL)),
            (4, Err(Errno::EINVAL)),
            (5, Err(Errno::EBADF)),
            (0, Err(Errno::EBADF)),
        ] {
            let done = maps.user().update(MAP, &key(0), &key(value), 0);
            assert_eq!(done, expected, "kind {kind}: map {value}");
        }
        assert_eq!(maps.lookup(MAP, &key(0)), Ok(Some(Found::Map(OTHER))), "kind {kind}");
    }
    let mut maps = maps(vec![map(3, 4, 4, 3, 0), map(14, 4, 8, 3, 0), map(16, 4, 8, 3, 0)]);
    maps.user().update(MAP, &key(2), &key(3), 0).unwrap();
    assert_eq!(maps.program(MAP, 2), Some(ProgramId(2)));
    assert_eq!((maps.program(MAP, 0), maps.program(MAP, 3)), (None, None));
    assert_eq!(maps.user().update(MAP, &key(2), &key(4), 0), Err(Errno::EBADF));
    let pair = |first: u32, second: u32| [key(first), key(second)].concat();
    for (program, device, cpu) in [
        (1, Err(Errno::EINVAL), Err(Errno::ENOMEM)),
        (2, Ok(()), Err(Errno::ENOMEM)),
        (3, Err(Errno::EINVAL), Ok(())),
        (0, Ok(()), Ok(())),
    ] {
        assert_eq!(maps.user().update(OTHER, &key(1), &pair(6, program), 0), device, "{program}");
        assert_eq!(maps.user().update(MapId(2), &key(1), &pair(64, program), 0), cpu, "{program}");
    }
    assert_eq!(maps.redirect(OTHER, 1), Ok(Some(Redirect::Device { ifindex: 6, program: None })));
    let cpu = Redirect::Cpu { cpu: 1, queue_size: 64, program: None };
    assert_eq!(maps.redirect(MapId(2), 1), Ok(Some(cpu)));
    assert_eq!(maps.redirect(MapId(2), 0), Ok(None));
    assert_eq!(maps.broadcast(OTHER).unwrap().len(), 1);
}

#[test]
fn maps_that_cannot_be_are_gaps() {
    for (map, expected) in [
        (map(15, 4, 4, 1, 0), "missing-map-type: the program needs a map of type sockmap"),
        (map(1, 4, 8, 0, 0), "map-refused: BPF_MAP_CREATE map kind1: Invalid argument (EINVAL)"),
        (map(9, 4, 8, 1, 1), "(ENOTSUPP)"),
    ] {
        let gaps = try_maps(vec![map]).unwrap_err();
        assert!(gaps.len() == 1 && gaps[0].contains(expected), "{gaps:?}");
    }
}

/// What holds maps in this test.
struct Holder(Maps);

impl AsMut<Maps> for Holder {
    fn as_mut(&mut self) -> &mut Maps {
        &mut self.0
    }
}

#[test]
fn handles_work_as_those_of_the_kernels_maps() {
    let holder = Arc::new(Mutex::new(Holder(maps(vec![map(5, 4, 4, 2, 0), map(2, 4, 8, 2, 0)]))));
    let handle = maps::handle(&holder, MAP).unwrap();
    assert!(maps::handle(&holder, MapId(2)).is_none());
    let value = [[1, 0, 0, 0, 0, 0, 0, 0_u8], [2; 8], [3; 8]].concat();
    assert!(handle.update(&key(9), &value[..8]).is_err(), "a value of one CPU");
    handle.update(&key(9), &value).unwrap();
    handle.update(&key(8), &value).unwrap();
    let full = handle.update(&key(7), &value).unwrap_err().to_string();
    assert!(full.contains("E2BIG") && full.contains("map kind5"), "{full}");
    assert_eq!(handle.lookup(&key(9)).unwrap(), Some(value.clone()));
    assert_eq!(handle.lookup(&key(1)).unwrap(), None);
    assert_eq!(
        handle.entries().unwrap(),
        [(key(9).to_vec(), value.clone()), (key(8).to_vec(), value)]
    );
    assert!(handle.delete(&key(9)).unwrap());
    assert!(!handle.delete(&key(9)).unwrap());
    assert_eq!(handle.entries().unwrap().len(), 1);
    assert_eq!(handle.id(), None);
    let array = maps::handle(&holder, OTHER).unwrap();
    assert_eq!(array.entries().unwrap().len(), 2);
    assert!(array.delete(&key(0)).is_err());
}
