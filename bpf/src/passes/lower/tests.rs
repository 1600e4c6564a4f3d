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

/// What lowering makes of code after a lookup in map 0: `r0` points to the value.
fn counted(code: &[crate::insn::Insn]) -> (Vec<Rewrite>, Vec<&'static str>) {
    let mut f = Function::empty("f", Linkage::Global);
    let end = f.new_inst(asm::mov_imm(0, 2), Reference::None);
    let emit = |f: &mut Function, insn, target| {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    };
    for insn in [asm::mov_imm(1, 1), asm::store32(10, -4, 1), asm::mov(2, 10), asm::add_imm(2, -4)]
    {
        emit(&mut f, insn, Reference::None);
    }
    emit(&mut f, asm::load_map(1), Reference::Map(MapId(0)));
    emit(&mut f, asm::helper(1), Reference::None);
    emit(&mut f, asm::jump_imm(crate::opcode::jmp::JEQ, 0, 0), Reference::Jump(end.id));
    emit(&mut f, asm::mov(3, 0), Reference::None);
    emit(&mut f, asm::mov_imm(7, 9), Reference::None);
    for &insn in code {
        emit(&mut f, insn, Reference::None);
    }
    f.append([end]);
    emit(&mut f, asm::exit(), Reference::None);
    let mut module = crate::passes::tests::module(vec![f]);
    module.maps = vec![Map { value_size: 16, ..map("m", 6, 0) }];
    let target = Target { per_cpu_maps: false, ..Target::host() };
    match lower(&module, ProgramId(0), &target) {
        Ok(lowered) => (lowered.changes.iter().map(|c| c.rewrite).collect(), Vec::new()),
        Err(problems) => (Vec::new(), problems.iter().map(|p| p.code).collect()),
    }
}

#[test]
fn counters_are_told_from_other_uses() {
    use crate::opcode::{X, alu, class};
    let sub32 = crate::insn::Insn::new(class::ALU | X | alu::SUB, 2, 7, 0, 0);
    let shared = vec![Rewrite::Counter, Rewrite::SharedCounters];
    for (name, code, good) in [
        ("add a register", vec![asm::load64(2, 3, 0), asm::add(2, 7), asm::store64(3, 0, 2)], true),
        (
            "add a number",
            vec![asm::load64(2, 0, 8), asm::add_imm(2, 1), asm::store64(0, 8, 2)],
            true,
        ),
        ("subtract 32 bits", vec![asm::load32(2, 3, 4), sub32, asm::store32(3, 4, 2)], true),
        ("add to it", vec![asm::load64(2, 3, 0), asm::add(7, 2), asm::store64(3, 0, 7)], true),
        (
            "store elsewhere",
            vec![asm::load64(2, 3, 0), asm::add(2, 7), asm::store64(3, 8, 2)],
            false,
        ),
        ("overwrite", vec![asm::store64(3, 0, 7)], false),
        ("read", vec![asm::load64(2, 3, 0)], false),
        ("double", vec![asm::load64(2, 3, 0), asm::add(2, 2), asm::store64(3, 0, 2)], false),
        ("32 bits of 64", vec![asm::load64(2, 3, 0), sub32, asm::store64(3, 0, 2)], false),
        (
            "load twice",
            vec![asm::load64(2, 3, 0), asm::load64(4, 3, 0), asm::add(2, 4), asm::store64(3, 0, 2)],
            false,
        ),
        (
            "keep the sum",
            vec![asm::load64(7, 3, 0), asm::add_imm(7, 1), asm::store64(3, 0, 7), asm::mov(0, 7)],
            false,
        ),
        ("unaligned", vec![asm::load64(2, 3, 4), asm::add(2, 7), asm::store64(3, 4, 2)], false),
    ] {
        let (rewrites, problems) = counted(&code);
        assert_eq!(rewrites == shared, good, "{name}: {rewrites:?} {problems:?}");
        assert_eq!(problems.is_empty(), good, "{name}: {problems:?}");
    }
}
