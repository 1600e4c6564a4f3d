//! What lowering does to modules made by hand.

use super::*;
use crate::module::{Function, Linkage, Map, MapId, Target as Reference};
use crate::passes::asm;

/// A program that refers to these maps.
fn with_maps(maps: Vec<Map>) -> Module {
    let mut f = Function::empty("f", Linkage::Global);
    for at in 0..maps.len() as u32 {
        let load = f.new_inst(asm::load_map(1), Reference::Map(MapId(at)));
        f.append([load]);
    }
    for insn in [asm::mov_imm(0, 2), asm::exit()] {
        let inst = f.new_inst(insn, Reference::None);
        f.append([inst]);
    }
    let mut module = crate::passes::tests::module(vec![f]);
    module.maps = maps;
    module
}

fn map(name: &str, kind: u32, flags: u32) -> Map {
    let name = name.to_owned();
    Map { name, kind, key_size: 4, value_size: 8, max_entries: 16, flags, ..Map::default() }
}

fn card() -> Target {
    Target { lru_maps: false, map_flags: 0, ..Target::host() }
}

#[test]
fn the_host_takes_everything_as_it_is() {
    let module = with_maps(vec![map("a", 9, 3), map("b", 10, 0)]);
    let lowered = lower(&module, ProgramId(0), &Target::host()).unwrap();
    assert!(lowered.changes.is_empty());
    assert_eq!(lowered.module.maps, module.maps);
}

#[test]
fn declarations_are_fitted() {
    let module = with_maps(vec![map("a", 1, 1 << 2 | 1), map("b", 10, 1 << 1)]);
    let mut target = card();
    let problems = lower(&module, ProgramId(0), &target).unwrap_err();
    assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["lru-bound"]);
    target.accept.insert("lru-bound".to_owned());
    target.max_entries.insert("b".to_owned(), 4);
    let lowered = lower(&module, ProgramId(0), &target).unwrap();
    let kinds: Vec<Rewrite> = lowered.changes.iter().map(|c| c.rewrite).collect();
    assert_eq!(kinds, [Rewrite::Entries, Rewrite::MapFlags, Rewrite::LruToHash]);
    let maps = &lowered.module.maps;
    assert_eq!([maps[0].flags, maps[1].flags, maps[1].kind, maps[1].max_entries], [0, 0, 5, 4]);
}

#[test]
fn what_is_no_mere_matter_of_keeping_is_a_problem() {
    let mut target = card();
    target.max_entries.insert("absent".to_owned(), 1);
    let module = with_maps(vec![map("a", 1, 1 << 3), map("b", 9, 0)]);
    let problems = lower(&module, ProgramId(0), &target).unwrap_err();
    let found: Vec<(&str, Option<&str>)> =
        problems.iter().map(|p| (p.code, p.map.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("no-such-map", Some("absent")),
            ("missing-map-flag", Some("a")),
            ("lru-bound", Some("b"))
        ]
    );
    assert!(problems[1].message.contains("BPF_F_RDONLY"), "{}", problems[1].message);
}
