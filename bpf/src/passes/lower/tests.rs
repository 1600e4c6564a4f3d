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

/// What lowering makes of code after a lookup in map 0, a per-CPU array: `r0` points to the value.
fn counted(code: &[crate::insn::Insn]) -> (Vec<Rewrite>, Vec<&'static str>) {
    let straight: Vec<_> = code.iter().map(|insn| (*insn, 0)).collect();
    counted_ways(&straight)
}

/// The same; jumps lead so many instructions on.
fn counted_ways(code: &[(crate::insn::Insn, usize)]) -> (Vec<Rewrite>, Vec<&'static str>) {
    let target = Target { per_cpu_maps: false, ..Target::host() };
    looked_up(Map { value_size: 16, ..map("m", 6, 0) }, &target, code)
}

/// What lowering makes of code after a lookup in a map: `r0` and `r3` point to the value, and `r7` is
/// a number that is not known.
fn looked_up(
    map: Map,
    target: &Target,
    code: &[(crate::insn::Insn, usize)],
) -> (Vec<Rewrite>, Vec<&'static str>) {
    let mut f = Function::empty("f", Linkage::Global);
    let end = f.new_inst(asm::mov_imm(0, 2), Reference::None);
    let emit = |f: &mut Function, insn, target| {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    };
    for insn in [asm::mov_imm(2, 1), asm::store32(10, -4, 2), asm::mov(2, 10), asm::add_imm(2, -4)]
    {
        emit(&mut f, insn, Reference::None);
    }
    emit(&mut f, asm::load32(7, 1, 16), Reference::None);
    emit(&mut f, asm::load_map(1), Reference::Map(MapId(0)));
    emit(&mut f, asm::helper(1), Reference::None);
    emit(&mut f, asm::jump_imm(crate::opcode::jmp::JEQ, 0, 0), Reference::Jump(end.id));
    emit(&mut f, asm::mov(3, 0), Reference::None);
    let insts: Vec<_> = code.iter().map(|(insn, _)| f.new_inst(*insn, Reference::None)).collect();
    for (at, (inst, (_, on))) in insts.iter().zip(code).enumerate() {
        let to = insts.get(at + on).unwrap_or(&end).id;
        let target = if *on > 0 { Reference::Jump(to) } else { Reference::None };
        f.append([crate::module::Inst { target, ..*inst }]);
    }
    f.append([end]);
    emit(&mut f, asm::exit(), Reference::None);
    let mut module = crate::passes::tests::module(vec![f]);
    module.maps = vec![map];
    match lower(&module, ProgramId(0), target) {
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

#[test]
fn counters_are_found_whichever_way_the_program_goes() {
    use crate::opcode::jmp;
    let jump = |op, register| asm::jump_imm(op, register, 0);
    // Jumps lead so many instructions on. r7 is a number, r3 leads to the word.
    type Way = Vec<(crate::insn::Insn, usize)>;
    let load = (asm::load64(2, 3, 0), 0);
    let store = (asm::store64(3, 0, 2), 0);
    let add = |n| (asm::add_imm(2, n), 0);
    let either: Way = vec![load, (jump(jmp::JEQ, 7), 3), add(1), (asm::goto(), 2), add(2), store];
    let one_way: Way = vec![load, (jump(jmp::JEQ, 7), 3), add(1), store, (asm::mov_imm(4, 0), 0)];
    let compared: Way = vec![load, (jump(jmp::JEQ, 2), 2), add(1), store];
    let another: Way = vec![(asm::mov_imm(2, 5), 0), (jump(jmp::JEQ, 7), 2), load, store];
    let kept: Way = vec![load, (jump(jmp::JEQ, 7), 3), add(1), store, (asm::mov(0, 2), 0)];
    let between: Way =
        vec![load, (jump(jmp::JEQ, 7), 2), (asm::store64(3, 0, 7), 0), add(1), store];
    let elsewhere: Way = vec![load, (jump(jmp::JEQ, 7), 2), (asm::add_imm(3, 8), 0), store];
    let other = (asm::store64(3, 8, 2), 0);
    let two_places: Way =
        vec![load, (jump(jmp::JEQ, 7), 3), store, (asm::goto(), 2), other, (asm::mov_imm(4, 0), 0)];
    for (name, code, good) in [
        ("either", either, true),
        ("one way", one_way, true),
        ("compared", compared, false),
        ("another number", another, false),
        ("kept", kept, false),
        ("a store in between", between, false),
        ("the pointer moves", elsewhere, false),
        ("two places", two_places, false),
    ] {
        let (rewrites, problems) = counted_ways(&code);
        let counter = rewrites.contains(&Rewrite::Counter);
        assert_eq!(counter, good, "{name}: {rewrites:?} {problems:?}");
        assert_eq!(problems.is_empty(), good, "{name}: {problems:?}");
    }
}

/// A program in one function, of these instructions; jumps lead so many instructions on, and maps
/// and functions are by number.
fn function(name: &str, code: &[(crate::insn::Insn, Reference)]) -> Function {
    let mut f = Function::empty(name, Linkage::Static);
    for &(insn, target) in code {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
    f
}

/// No calls, and no stores to maps.
fn bare() -> Target {
    Target { calls: false, map_stores: false, ..Target::host() }
}

#[test]
fn calls_that_must_stay_are_told_with_the_reason() {
    let plain = |insn| (insn, Reference::None);
    let call = |n| (asm::call(), Reference::Call(crate::module::FunctionId(n)));
    let end = [plain(asm::mov_imm(0, 2)), plain(asm::exit())];
    let main = function("main", &[&[call(1)], end.as_slice()].concat());
    let address = plain(asm::store64(10, -8, 10));
    let compares = (asm::jump_equal(1, 10), Reference::Jump(crate::module::InstId(2)));
    for (why, first) in [
        ("tail call", Some(plain(asm::helper(12)))),
        ("calls itself", Some(call(1))),
        ("LD_ABS", Some(plain(crate::insn::Insn::new(0x30, 0, 0, 0, 64)))),
        ("stores the address", Some(address)),
        ("compares the address", Some(compares)),
        ("longer than", None),
    ] {
        let body: Vec<_> =
            first.into_iter().chain([plain(asm::mov_imm(2, 0))]).chain(end).collect();
        let module = crate::passes::tests::module(vec![main.clone(), function("f", &body)]);
        let most_slots = if first.is_some() { 100 } else { 4 };
        let problems = lower(&module, ProgramId(0), &Target { most_slots, ..bare() }).unwrap_err();
        let told = |p: &Problem| p.code == "call-not-inlined" && p.message.contains(why);
        assert!(problems.iter().any(told), "{why}: {problems:?}");
        assert!(problems.iter().all(|p| p.site.is_some()), "{problems:?}");
    }
}

#[test]
fn inlined_frames_lie_below_each_other_and_are_shared() {
    let plain = |insn| (insn, Reference::None);
    let call = |n| (asm::call(), Reference::Call(crate::module::FunctionId(n)));
    let end = [plain(asm::mov_imm(0, 2)), plain(asm::exit())];
    let keep = [plain(asm::mov_imm(6, 1)), plain(asm::store64(10, -16, 6))];
    let main: Vec<_> =
        keep.into_iter().chain([call(1), call(2), plain(asm::mov(1, 6))]).chain(end).collect();
    let leaf: Vec<_> = [plain(asm::mov_imm(6, 5)), plain(asm::store64(10, -24, 6))]
        .into_iter()
        .chain(end)
        .collect();
    let through: Vec<_> = keep.into_iter().chain([call(2)]).chain(end).collect();
    let functions =
        vec![function("main", &main), function("through", &through), function("leaf", &leaf)];
    let module = crate::passes::tests::module(functions);
    let lowered = lower(&module, ProgramId(0), &bare()).unwrap();
    assert_eq!(lowered.changes.len(), 3, "{:?}", lowered.changes);
    let code = &lowered.module.functions[0].code;
    assert!(code.iter().all(|inst| !inst.insn.is_call()));
    let mut offsets: Vec<i16> = code
        .iter()
        .filter(|i| i.insn.class() == crate::opcode::class::STX)
        .map(|i| i.insn.off)
        .collect();
    offsets.sort_unstable();
    // main's own, r6 of it saved twice in one place, then both callees from there on: 24 bytes of
    // the leaf, and 16 of the other with the leaf's 24 below.
    assert_eq!(offsets, [-64, -48, -40, -24, -24, -16]);
}

#[test]
fn stack_that_is_short_makes_calls_go_and_names_none() {
    let plain = |insn| (insn, Reference::None);
    let end = [plain(asm::mov_imm(0, 2)), plain(asm::exit())];
    let call = (asm::call(), Reference::Call(crate::module::FunctionId(1)));
    let main = function("main", &[&[call], end.as_slice()].concat());
    let body = [plain(asm::mov_imm(2, 0)), plain(asm::store64(10, -8, 2))];
    let module = crate::passes::tests::module(vec![main, function("f", &[body, end].concat())]);
    for (most, inlined) in [(64, true), (128, false)] {
        let stack = FrameStack { most, frame_bytes: 64, call_bytes: 4, register_bytes: 32 };
        let target = Target { stack: Some(stack), loops: false, ..Target::host() };
        let mut stacked = module.clone();
        // The entry uses stack of its own.
        let store = stacked.functions[0].new_inst(asm::store64(10, -8, 1), Reference::None);
        stacked.functions[0].code.insert(0, store);
        let lowered = lower(&stacked, ProgramId(0), &target).unwrap();
        let rewrites: Vec<Rewrite> = lowered.changes.iter().map(|c| c.rewrite).collect();
        assert_eq!(rewrites == [Rewrite::Inline], inlined, "{most}: {rewrites:?}");
    }
}

/// What lowering makes of stores after a lookup in map 0, of this type: `r0` points to the value, of
/// 16 bytes; jumps lead so many instructions on.
fn stored(
    kind: u32,
    accept: bool,
    code: &[(crate::insn::Insn, usize)],
) -> (Vec<Rewrite>, Vec<&'static str>) {
    let mut target = bare();
    if accept {
        target.accept.insert("map-store-race".to_owned());
    }
    looked_up(Map { value_size: 16, ..map("m", kind, 0) }, &target, code)
}

#[test]
fn stores_become_updates_where_that_means_the_same() {
    let plain = |insn| (insn, 0);
    let number = plain(asm::mov_imm(4, 5));
    let part = [number, plain(asm::store64(3, 0, 4))];
    let whole = [part.as_slice(), &[plain(asm::store64(3, 8, 4))]].concat();
    let load = plain(asm::load64(5, 3, 0));
    let branch = (asm::jump_imm(crate::opcode::jmp::JEQ, 7, 0), 1);
    let later = [whole.as_slice(), &[branch, load]].concat();
    let two = [part.as_slice(), &[branch, plain(asm::store64(3, 8, 4))]].concat();
    let unaligned = [number, plain(asm::store64(3, 4, 4))];
    let anywhere = [number, plain(asm::add(3, 7)), plain(asm::store32(3, 0, 4))];
    let (yes, no): (&[Rewrite], &[Rewrite]) = (&[Rewrite::MapUpdate], &[]);
    let both: &[Rewrite] = &[Rewrite::MapUpdate, Rewrite::MapUpdate];
    for (name, kind, accept, code, made, problem) in [
        ("part of an array", maps::ARRAY, true, part.to_vec(), yes, None),
        ("part, not accepted", maps::ARRAY, false, part.to_vec(), no, Some("map-store-race")),
        ("whole", maps::ARRAY, false, whole.clone(), yes, None),
        ("part of a hash", maps::HASH, true, part.to_vec(), yes, None),
        ("whole of a hash", maps::HASH, false, whole, yes, None),
        ("read later", maps::ARRAY, true, later.clone(), yes, None),
        ("read later from a hash", maps::HASH, true, later, no, Some("map-store")),
        ("parts in turn", maps::ARRAY, true, two.clone(), both, None),
        // The second part's copy would be of the entry that the first update replaced.
        ("parts of a hash in turn", maps::HASH, true, two, no, Some("map-store")),
        ("unaligned", maps::ARRAY, true, unaligned.to_vec(), no, Some("map-store")),
        ("somewhere", maps::ARRAY, true, anywhere.to_vec(), no, Some("map-store")),
        ("an LRU hash", maps::LRU_HASH, true, part.to_vec(), no, Some("map-store")),
        ("a per-CPU array", maps::PERCPU_ARRAY, true, part.to_vec(), no, Some("map-store")),
    ] {
        let (rewrites, problems) = stored(kind, accept, &code);
        assert_eq!(rewrites, made, "{name}: {problems:?}");
        let known: std::collections::BTreeSet<_> = problems.iter().copied().collect();
        assert_eq!(known, problem.into_iter().collect(), "{name}");
    }
}
