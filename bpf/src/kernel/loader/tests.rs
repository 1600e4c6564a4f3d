use std::collections::BTreeMap;
use std::os::fd::AsFd;

use super::*;
use crate::kernel::{Fake, MapInfo, ObjectKind};
use crate::module::{DataSection, Map};
use crate::{Selector, programs};

const ARRAY: u32 = 2;
const ARRAY_OF_MAPS: u32 = 12;
const EINVAL: i32 = 22;
const EEXIST: i32 = 17;

fn module(object: &str) -> Module {
    Module::parse(object, programs::get(object).unwrap().object).unwrap()
}

fn program(module: &Module, name: &str) -> ProgramId {
    module.select(&Selector { program: Some(name.to_owned()), section: None }).unwrap()
}

fn spec<'a>(
    module: &'a Module,
    name: &str,
    pin_root: Option<&'a Path>,
    contents: &'a BTreeMap<MapId, Entries>,
) -> LoadSpec<'a> {
    LoadSpec {
        module,
        program: program(module, name),
        kind: PROG_TYPE_XDP,
        attach_type: ATTACH_TYPE_XDP,
        binding: None,
        pin_root,
        contents,
    }
}

fn load_one(kernel: &Fake, module: &Module, name: &str) -> Result<Loaded, LoadError> {
    load(kernel, &spec(module, name, None, &BTreeMap::new()))
}

fn id_of(module: &Module, name: &str) -> MapId {
    MapId(module.maps.iter().position(|m| m.name == name).unwrap() as u32)
}

fn info(kernel: &Fake, loaded: &Loaded, id: MapId) -> MapInfo {
    kernel.map_info(loaded.maps[&id].as_fd()).unwrap()
}

fn array(name: &str, value_size: u32) -> Map {
    Map {
        name: name.to_owned(),
        kind: ARRAY,
        key_size: 4,
        value_size,
        max_entries: 2,
        ..Map::default()
    }
}

/// The `drop` program with more maps than it uses; `also` are wanted nevertheless.
fn with_maps(maps: Vec<Map>) -> Module {
    let mut module = module("drop");
    module.maps = maps;
    module
}

fn wanted(contents: &[(u32, Entries)]) -> BTreeMap<MapId, Entries> {
    contents.iter().map(|(id, entries)| (MapId(*id), entries.clone())).collect()
}

#[test]
fn only_what_is_reached_is_created() {
    let kernel = Fake::new();
    let module = with_maps(vec![array("used", 8), array("idle", 8)]);
    let contents = wanted(&[(0, vec![(vec![1, 0, 0, 0], vec![7; 8])])]);
    let loaded = load(&kernel, &spec(&module, "xdp_drop", None, &contents)).unwrap();
    assert_eq!(loaded.maps.keys().copied().collect::<Vec<_>>(), [MapId(0)]);
    let value = kernel.map_lookup(loaded.maps[&MapId(0)].as_fd(), &[1, 0, 0, 0], 8).unwrap();
    assert_eq!(value, Some(vec![7; 8]), "contents are there before the program runs");
    drop(loaded);
    for kind in [ObjectKind::Program, ObjectKind::Map, ObjectKind::Btf] {
        assert_eq!(kernel.ids(kind).unwrap(), [0; 0], "{kind:?} is left over");
    }
}

#[test]
fn data_sections_are_written_and_constants_frozen() {
    let kernel = Fake::new();
    let module = module("globals");
    let loaded = load_one(&kernel, &module, "xdp_globals").unwrap();
    for (&id, fd) in &loaded.maps {
        let map = module.map(id);
        let size = map.value_size as usize;
        let value = kernel.map_lookup(fd.as_fd(), &[0; 4], size).unwrap().unwrap();
        let mut expected = map.data.clone();
        expected.resize(size, 0);
        assert_eq!(value, expected, "{}", map.name);
        let frozen = kernel.map_update(fd.as_fd(), &[0; 4], &value, 0).is_err();
        assert_eq!(frozen, map.section == Some(DataSection::Rodata), "{}", map.name);
    }
    assert_eq!(loaded.maps.len(), 3, "rodata, data and bss");
}

#[test]
fn program_arrays_hold_their_programs() {
    let kernel = Fake::new();
    let module = module("tail_call");
    let loaded = load_one(&kernel, &module, "xdp_tail_call").unwrap();
    let next = &loaded.maps[&id_of(&module, "next")];
    let slots = kernel.map_entries(next.as_fd(), 4, 4).unwrap();
    assert_eq!(slots.len(), 2);
    assert_eq!(kernel.ids(ObjectKind::Program).unwrap().len(), 3, "the arrays hold them");
    // Alone, a program of the array needs no array.
    let alone = load_one(&kernel, &module, "xdp_ipv4").unwrap();
    assert_eq!(alone.maps.keys().copied().collect::<Vec<_>>(), [id_of(&module, "seen")]);
}

#[test]
fn maps_of_maps_take_their_template_from_the_first_map_or_the_declaration() {
    let outer = |inner: Option<Map>| Map {
        kind: ARRAY_OF_MAPS,
        inner: inner.map(Box::new),
        initial: vec![InitialSlot { slot: 1, value: Target::Map(MapId(1)) }],
        ..array("outer", 4)
    };
    for declared in [None, Some(array("template", 8))] {
        let kernel = Fake::new();
        let module = with_maps(vec![outer(declared), array("first", 8)]);
        let contents = wanted(&[(0, Entries::new())]);
        let loaded = load(&kernel, &spec(&module, "xdp_drop", None, &contents)).unwrap();
        let first = info(&kernel, &loaded, MapId(1)).id;
        let held = kernel.map_lookup(loaded.maps[&MapId(0)].as_fd(), &[1, 0, 0, 0], 4).unwrap();
        assert_eq!(held, Some(first.to_ne_bytes().to_vec()));
        assert_eq!(kernel.ids(ObjectKind::Map).unwrap().len(), 2, "a template is left over");
    }
}

#[test]
fn sizes_the_loader_decides() {
    let kernel = Fake::new();
    let perf = Map { kind: 4, max_entries: 0, ..array("events", 4) };
    let ring = |max_entries| Map { kind: 27, max_entries, key_size: 0, ..array("ring", 0) };
    let odd = array("a-name/with signs", 8);
    let module = with_maps(vec![perf, ring(5000), ring(1), odd]);
    let contents = wanted(&[0, 1, 2, 3].map(|id| (id, Entries::new())));
    let loaded = load(&kernel, &spec(&module, "xdp_drop", None, &contents)).unwrap();
    let entries = |id| info(&kernel, &loaded, MapId(id)).max_entries;
    assert_eq!([entries(0), entries(1), entries(2)], [4, 8192, 4096]);
    assert_eq!(info(&kernel, &loaded, MapId(3)).name, "a_name_with_sig");
}

#[test]
fn a_size_that_nobody_gave_is_told_as_such() {
    let module = with_maps(vec![Map { max_entries: 0, ..array("per_cpu_counters", 8) }]);
    let contents = wanted(&[(0, Entries::new())]);
    let error = load(&Fake::new(), &spec(&module, "xdp_drop", None, &contents)).unwrap_err();
    assert!(matches!(&error, LoadError::NoSize { map } if map == "per_cpu_counters"), "{error:?}");
}

#[test]
fn contents_of_the_wrong_size_are_refused() {
    let kernel = Fake::new();
    let module = with_maps(vec![array("config", 8)]);
    for (key, value) in [(vec![0; 4], vec![0; 7]), (vec![0; 5], vec![0; 8])] {
        let contents = wanted(&[(0, vec![(key, value)])]);
        let error = load(&kernel, &spec(&module, "xdp_drop", None, &contents)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("config takes keys of 4 and values of 8 bytes"), "{text}");
    }
}

#[test]
fn a_pinned_map_is_shared_or_refused() {
    let kernel = Fake::new();
    let root = kernel.bpffs("shared").unwrap();
    let pinned =
        |value_size| with_maps(vec![Map { pin_by_name: true, ..array("state.v1", value_size) }]);
    let entry = |byte| wanted(&[(0, vec![(vec![0; 4], vec![byte; 8])])]);
    let value = |fd: BorrowedFd<'_>| kernel.map_lookup(fd, &[0; 4], 8).unwrap();
    let path = root.join("state_v1");

    let first = pinned(8);
    let contents = entry(1);
    let mut loaded = load(&kernel, &spec(&first, "xdp_drop", Some(&root), &contents)).unwrap();
    assert_eq!(kernel.pins(), Vec::<PathBuf>::new(), "nothing is pinned before the attach");
    assert_eq!(loaded.commit(&kernel).unwrap(), vec![path.clone()]);
    assert_eq!(kernel.pins(), vec![path]);

    let contents = entry(2);
    let mut again = load(&kernel, &spec(&first, "xdp_drop", Some(&root), &contents)).unwrap();
    assert_eq!(info(&kernel, &again, MapId(0)).id, info(&kernel, &loaded, MapId(0)).id);
    let shared = loaded.maps[&MapId(0)].as_fd();
    assert_eq!(value(shared), Some(vec![1; 8]), "nothing is written before the attach");
    assert_eq!(again.commit(&kernel).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(value(shared), Some(vec![2; 8]));

    let other = pinned(16);
    let none = BTreeMap::new();
    let contents = wanted(&[(0, Entries::new())]);
    let error = load(&kernel, &spec(&other, "xdp_drop", Some(&root), &contents)).unwrap_err();
    assert!(error.to_string().contains("its value size is 8, the object declares 16"), "{error}");
    load(&kernel, &spec(&other, "xdp_drop", None, &contents)).unwrap();
    drop(load(&kernel, &spec(&other, "xdp_drop", Some(&root), &none)).unwrap());
}

#[test]
fn pins_made_before_a_failure_are_withdrawn() {
    let kernel = Fake::new();
    let root = kernel.bpffs("shared").unwrap();
    let named = |name: &str| Map { pin_by_name: true, ..array(name, 8) };
    let module = with_maps(vec![named("a"), named("b")]);
    let contents = wanted(&[0, 1].map(|id| (id, Entries::new())));
    let mut loaded = load(&kernel, &spec(&module, "xdp_drop", Some(&root), &contents)).unwrap();
    // Somebody else pins the second one meanwhile.
    kernel.pin(loaded.program.as_fd(), &root.join("b")).unwrap();
    let LoadError::Map { map, error } = loaded.commit(&kernel).unwrap_err() else { panic!() };
    assert_eq!((map.as_str(), error.errno), ("b", EEXIST));
    assert_eq!(kernel.pins(), [root.join("b")], "the first pin stays behind");
}

#[test]
fn a_kernel_that_refuses_btf_gets_the_program_without() {
    let kernel = Fake::new();
    let module = module("count_proto");
    let old = KernelError::new("BPF_BTF_LOAD", "it", EINVAL).saying("unknown kind 19");
    kernel.fail_next(old.clone());
    kernel.verify_with(|spec| {
        assert!(spec.btf.is_none() && spec.func_info.is_empty() && spec.line_info.is_empty());
        Ok(())
    });
    load_one(&kernel, &module, "xdp_count_proto").unwrap();

    // If the program is refused too, both reasons are there.
    kernel.fail_next(old);
    kernel.verify_with(|_| Err(KernelError::new("BPF_PROG_LOAD", "it", EINVAL)));
    let error = load_one(&kernel, &module, "xdp_count_proto").unwrap_err();
    let LoadError::Program { btf: Some(btf), .. } = error else { panic!("{error:?}") };
    assert_eq!(btf.message.as_deref(), Some("unknown kind 19"));
}

#[test]
fn flags_follow_from_the_program() {
    let kernel = Fake::new();
    let module = module("frags");
    let name = module.programs[0].name.clone();
    let contents = BTreeMap::new();
    let with =
        LoadSpec { binding: Some(Binding::HostOnly(3)), ..spec(&module, &name, None, &contents) };
    kernel.add_interface(crate::kernel::fake::FakeInterface::new(3, "eth0"));
    kernel.verify_with(|spec| {
        assert_eq!((spec.flags, spec.ifindex), (XDP_HAS_FRAGS | XDP_DEV_BOUND_ONLY, 3));
        assert_eq!((spec.kind, spec.expected_attach_type), (6, 37));
        Ok(())
    });
    load(&kernel, &with).unwrap();
}
