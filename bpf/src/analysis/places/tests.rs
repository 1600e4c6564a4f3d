//! Code made by hand: each way in which a context can be lost from sight, and what calls are given.

use std::time::{Duration, Instant};

use super::*;
use crate::analysis::tests::{EXIT, call, copy, helper, jump, load, map, module, mov, store, wide};
use crate::insn::Insn;
use crate::module::{InitialSlot, Map, Target};
use crate::opcode::{X, alu, atomic, class, jmp, mode, size};

type Code = Vec<(Insn, Target)>;

const FIELD: ContextUse = ContextUse::Field(ContextField::RxQueueIndex);

fn found(functions: &[&[(Insn, Target)]]) -> Places {
    places(&module(functions), ProgramId(0)).unwrap()
}

fn at(function: u32, inst: u32) -> At {
    At { function: FunctionId(function), inst: InstId(inst) }
}

fn add(dst: u8, imm: i32) -> (Insn, Target) {
    (Insn::new(class::ALU64 | alu::ADD, dst, 0, 0, imm), Target::None)
}

/// What the last instruction before the exit does with the context.
fn last_use(code: Code) -> Option<ContextUse> {
    let last = code.len() as u32 - 1;
    let code: Code = code.into_iter().chain([EXIT]).collect();
    let places = found(&[&code, &[load(size::DW, 0, 1, -8), EXIT]]);
    assert!(places.reached(FunctionId(0), last as usize));
    places.context.get(&at(0, last)).copied()
}

/// A pointer to the stack at -8 or -16, nobody knows which, in r2.
fn somewhere(function: &mut Code) {
    let from = function.len() as u32;
    function.extend([
        load(size::W, 3, 1, 16),
        copy(2, 10),
        add(2, -8),
        jump(jmp::JEQ, 3, 7, from + 5),
        add(2, -8),
    ]);
}

#[test]
fn a_context_that_was_out_of_sight_is_never_taken_for_something_else() {
    let read = load(size::W, 0, 4, 16);
    let atomically = |dst, src, imm| {
        (Insn::new(class::STX | mode::ATOMIC | size::DW, dst, src, -8, imm), Target::None)
    };
    let cases: Vec<(&str, Code, Option<ContextUse>)> = vec![
        ("itself", vec![copy(4, 1), read], Some(FIELD)),
        ("spilled", vec![store(size::DW, 10, -8, 1), load(size::DW, 4, 10, -8), read], Some(FIELD)),
        (
            "stored at one of two places",
            {
                let mut code = vec![];
                somewhere(&mut code);
                code.extend([store(size::DW, 2, 0, 1), load(size::DW, 4, 10, -16), read]);
                code
            },
            Some(ContextUse::Ambiguous),
        ),
        (
            "loaded from one of two places",
            {
                let mut code = vec![store(size::DW, 10, -8, 1)];
                somewhere(&mut code);
                code.extend([load(size::DW, 4, 2, 0), read]);
                code
            },
            Some(ContextUse::Ambiguous),
        ),
        (
            "a number stored at one of two places",
            {
                let mut code = vec![store(size::DW, 10, -8, 1)];
                somewhere(&mut code);
                code.extend([mov(5, 1), store(size::DW, 2, 0, 5), load(size::DW, 4, 10, -8), read]);
                code
            },
            Some(FIELD),
        ),
        (
            "a packet pointer stored at one of two places",
            {
                let mut code = vec![store(size::DW, 10, -8, 1)];
                somewhere(&mut code);
                code.extend([
                    load(size::W, 5, 1, 0),
                    store(size::DW, 2, 0, 5),
                    load(size::DW, 4, 10, -8),
                    read,
                ]);
                code
            },
            Some(ContextUse::Ambiguous),
        ),
        (
            "beside a table whose elements grow",
            {
                let mut code = vec![store(size::DW, 10, -8, 1)];
                somewhere(&mut code);
                code.extend([
                    load(size::DW, 5, 2, 0),
                    add(5, 1),
                    store(size::DW, 2, 0, 5),
                    load(size::DW, 4, 10, -8),
                    read,
                ]);
                code
            },
            Some(FIELD),
        ),
        (
            "moved along a table",
            {
                let mut code = vec![store(size::DW, 10, -8, 1)];
                somewhere(&mut code);
                code.extend([
                    load(size::DW, 5, 2, 0),
                    store(size::DW, 2, 0, 5),
                    load(size::DW, 4, 10, -8),
                    read,
                ]);
                code
            },
            Some(ContextUse::Ambiguous),
        ),
        (
            "loaded atomically",
            vec![store(size::DW, 10, -8, 1), atomically(4, 10, atomic::LOAD_ACQUIRE), read],
            Some(FIELD),
        ),
        (
            "stored atomically",
            vec![atomically(10, 1, atomic::STORE_RELEASE), load(size::DW, 4, 10, -8), read],
            Some(FIELD),
        ),
        (
            "exchanged atomically",
            vec![store(size::DW, 10, -8, 1), mov(4, 0), atomically(10, 4, atomic::XCHG), read],
            Some(FIELD),
        ),
        (
            "half of it overwritten",
            vec![
                store(size::DW, 10, -8, 1),
                mov(2, 0),
                store(size::W, 10, -4, 2),
                load(size::DW, 4, 10, -8),
                read,
            ],
            Some(ContextUse::Ambiguous),
        ),
        (
            "or null",
            vec![mov(4, 0), load(size::W, 2, 1, 12), jump(jmp::JEQ, 2, 1, 4), copy(4, 1), read],
            Some(ContextUse::Ambiguous),
        ),
        (
            "or the packet",
            vec![
                load(size::W, 4, 1, 0),
                load(size::W, 2, 1, 12),
                jump(jmp::JEQ, 2, 1, 4),
                copy(4, 1),
                read,
            ],
            Some(ContextUse::Ambiguous),
        ),
        (
            "in 32 bits",
            vec![(Insn::new(class::ALU | X | alu::MOV, 4, 1, 0, 0), Target::None), read],
            None,
        ),
        ("overwritten", vec![copy(4, 1), mov(4, 0), read], None),
        ("what a helper gave", vec![copy(6, 1), helper(7), copy(4, 0), read], None),
    ];
    for (name, code, expected) in cases {
        assert_eq!(last_use(code), expected, "{name}");
    }
}

#[test]
fn uses_that_are_no_reads_of_a_field_are_told_apart() {
    let sign_extended = (Insn::new(class::LDX | mode::MEMSX | size::W, 0, 1, 16, 0), Target::None);
    for (name, inst, expected) in [
        ("signed", sign_extended, FIELD),
        ("egress", load(size::W, 0, 1, 20), ContextUse::Field(ContextField::EgressIfindex)),
        ("byte", load(size::B, 0, 1, 0), ContextUse::Misshapen),
        ("eight bytes", load(size::DW, 0, 1, 0), ContextUse::Misshapen),
        ("between fields", load(size::W, 0, 1, 2), ContextUse::Misshapen),
        ("beyond", load(size::W, 0, 1, 24), ContextUse::Misshapen),
        ("before", load(size::W, 0, 1, -4), ContextUse::Misshapen),
        ("store", store(size::W, 1, 16, 2), ContextUse::Store),
        ("moved", add(1, 4), ContextUse::Arithmetic),
    ] {
        assert_eq!(last_use(vec![mov(2, 0), inst]), Some(expected), "{name}");
    }
}

#[test]
fn a_number_from_the_stack_does_not_make_the_packet_a_context() {
    // data + table[i], with the context spilled in the same frame.
    let mut code = vec![store(size::DW, 10, -8, 1)];
    somewhere(&mut code);
    let plus = (Insn::new(class::ALU64 | X | alu::ADD, 4, 5, 0, 0), Target::None);
    code.extend([load(size::DW, 5, 2, 0), load(size::W, 4, 1, 0), plus, load(size::B, 0, 4, 0)]);
    assert_eq!(last_use(code), None);
}

#[test]
fn the_context_is_followed_into_every_function_that_may_be_called_back() {
    // r2 is one of two functions: a compiler merged two calls.
    let main = [
        copy(3, 1),
        load(size::W, 4, 1, 16),
        wide(2, Target::FunctionAddress(FunctionId(1))),
        jump(jmp::JEQ, 4, 0, 5),
        wide(2, Target::FunctionAddress(FunctionId(2))),
        mov(1, 4),
        mov(4, 0),
        helper(181),
        mov(0, 2),
        EXIT,
    ];
    let read = [load(size::W, 0, 2, 16), mov(0, 0), EXIT];
    let places = found(&[&main, &read, &read]);
    for function in [1, 2] {
        assert_eq!(places.context.get(&at(function, 0)), Some(&FIELD), "{function}");
    }
    let site = &places.calls[&at(0, 7)];
    assert_eq!(site.callee, Callee::Helper(181));
    let kinds = site.args.each_ref().map(|a| a.kinds);
    assert_eq!(kinds[..3], [Kinds::SCALAR, Kinds::FUNCTION, Kinds::CONTEXT]);
}

#[test]
fn one_function_given_different_things_is_ambiguous() {
    let main = [copy(6, 1), call(1), load(size::W, 1, 6, 0), call(1), EXIT];
    let places = found(&[&main, &[load(size::W, 0, 1, 16), EXIT]]);
    assert_eq!(places.context.get(&at(1, 0)), Some(&ContextUse::Ambiguous));
}

#[test]
fn maps_and_flags_of_merged_calls_are_all_there() {
    // bpf_redirect_map(&a, 0, 0) and (&b, 0, 8) merged into one call.
    let main = |a: u32, b: u32| {
        vec![
            load(size::W, 4, 1, 16),
            wide(1, Target::Map(MapId(a))),
            mov(3, 0),
            jump(jmp::JEQ, 4, 0, 6),
            wide(1, Target::Map(MapId(b))),
            mov(3, 8),
            mov(2, 0),
            helper(51),
            EXIT,
        ]
    };
    for (a, b, maps) in [
        (0, 1, vec![0, 1]),
        (2, 2, vec![2]),
        (69, 69, vec![69]),
        // Maps from 63 on are not told apart once two flow together.
        (5, 69, [vec![5], (63..70).collect()].concat()),
    ] {
        let mut m = module(&[&main(a, b)]);
        m.maps = vec![map(14); 70];
        let places = places(&m, ProgramId(0)).unwrap();
        let site = &places.calls[&at(0, 7)];
        assert_eq!(site.args[0].maps, maps.iter().map(|&m| MapId(m)).collect::<Vec<_>>());
        assert_eq!(site.args[0].unknown_map, maps.len() > 2, "{a} {b}");
        assert_eq!(site.args[1].constants, Some(vec![0]));
        assert_eq!(site.args[2].constants, Some(vec![0, 8]));
        assert_eq!(site.args[3].constants, None);
    }
}

#[test]
fn maps_held_by_maps_are_unknown() {
    let main = [
        wide(1, Target::Map(MapId(0))),
        copy(2, 10),
        helper(1),
        copy(1, 0),
        mov(2, 0),
        mov(3, 0),
        helper(51),
        EXIT,
    ];
    let mut m = module(&[&main]);
    m.maps = vec![map(12)];
    let places = places(&m, ProgramId(0)).unwrap();
    let inner = &places.calls[&at(0, 6)].args[0];
    assert!(inner.unknown_map && inner.maps.is_empty() && inner.kinds == Kinds::MAP, "{inner:?}");
}

#[test]
fn packet_pointers_kept_over_a_call_are_those_dereferenced_later() {
    let packet = load(size::W, 6, 1, 0);
    type Case<'a> = (&'a str, &'a [(Insn, Target)], bool);
    let cases: [Case<'_>; 6] = [
        ("dereferenced", &[load(size::B, 0, 6, 0)], true),
        ("copied and moved first", &[copy(2, 6), add(2, 4), load(size::B, 0, 2, 0)], true),
        ("stored to", &[store(size::B, 6, 0, 0)], true),
        ("compared", &[jump(jmp::JEQ, 6, 0, 5)], false),
        ("loaded anew", &[copy(1, 7), load(size::W, 6, 1, 0), load(size::B, 0, 6, 0)], false),
        ("not used", &[mov(0, 1)], false),
    ];
    for (name, after, expected) in cases {
        let mut code = vec![copy(7, 1), packet, copy(3, 10), helper(190)];
        code.extend_from_slice(after);
        code.extend([mov(0, 2), EXIT]);
        let places = found(&[&code]);
        assert_eq!(places.calls[&at(0, 3)].keeps_packet_pointer, expected, "{name}");
    }
    // The context is dereferenced later, the packet is not.
    let other = [copy(7, 1), packet, helper(190), load(size::W, 0, 7, 16), EXIT];
    assert!(!found(&[&other]).calls[&at(0, 2)].keeps_packet_pointer);
}

#[test]
fn only_what_is_reached_is_told() {
    let dead = [
        mov(2, 1),
        jump(jmp::JEQ, 2, 1, 5),
        load(size::W, 0, 1, 16),
        load(size::W, 2, 1, 0),
        store(size::B, 2, 0, 0),
        mov(0, 2),
        EXIT,
    ];
    let places = found(&[&dead]);
    assert!(places.context.is_empty() && places.packet_writes.is_empty());
    assert!(places.reached(FunctionId(0), 5) && !places.reached(FunctionId(0), 2));
    assert!(!places.reached(FunctionId(0), 99) && !places.reached(FunctionId(9), 0));
    // The verifier does not know that the context is not null.
    let null = [jump(jmp::JNE, 1, 0, 3), load(size::W, 0, 1, 16), EXIT, mov(0, 2), EXIT];
    assert_eq!(found(&[&null]).context.get(&at(0, 1)), Some(&FIELD));
}

#[test]
fn what_a_helper_wrote_decides_nothing() {
    // Written through a pointer to one of two places on the stack.
    let mut code = vec![mov(5, 1), store(size::DW, 10, -8, 5), store(size::DW, 10, -16, 5)];
    let ctx = copy(6, 1);
    somewhere(&mut code);
    code.insert(0, ctx);
    for inst in &mut code {
        if let Target::Jump(to) = &mut inst.1 {
            to.0 += 1;
        }
    }
    code.extend([copy(1, 2), mov(2, 8), helper(4), load(size::DW, 2, 10, -16)]);
    let to = code.len() as u32 + 2;
    code.extend([jump(jmp::JEQ, 2, 1, to), load(size::W, 0, 6, 16), mov(0, 2), EXIT]);
    let places = found(&[&code]);
    assert_eq!(places.context.get(&at(0, to - 1)), Some(&FIELD));
}

#[test]
fn tail_called_programs_are_entries() {
    let main = [wide(2, Target::Map(MapId(0))), mov(3, 0), helper(12), mov(0, 2), EXIT];
    let target = [
        store(size::DW, 10, -40, 1),
        load(size::W, 2, 1, 0),
        store(size::B, 2, 0, 2),
        call(2),
        EXIT,
    ];
    let mut m = module(&[&main, &target, &[mov(0, 1), EXIT], &[EXIT]]);
    let value = Target::FunctionAddress(FunctionId(1));
    m.maps.push(Map { initial: vec![InitialSlot { slot: 0, value }], ..map(3) });
    let places = places(&m, ProgramId(0)).unwrap();
    assert_eq!(places.entries, [FunctionId(0), FunctionId(1)]);
    assert_eq!(places.functions, [FunctionId(0), FunctionId(1), FunctionId(2)]);
    assert_eq!(places.packet_writes, [at(1, 2)].into());
    assert_eq!((places.stack_bytes, places.call_depth), (48, 2));
}

#[test]
fn hostile_code_is_followed_to_its_end_or_refused() {
    let million = 1_000_000_u32;
    let branches: Code =
        (0..million).map(|i| jump(jmp::JSGT, 1, 5, i.wrapping_mul(7919) % million)).collect();
    let calls: Code = (0..million).map(|_| helper(7)).chain([EXIT]).collect();
    let stores: Code = (0..million).map(|i| store(size::DW, 10, -8 * (i % 64) as i16, 1)).collect();
    let held: Code = std::iter::once(load(size::W, 6, 1, 0))
        .chain((0..60_000).map(|i| match i % 2 {
            0 => helper(7),
            _ => jump(jmp::JEQ, 0, i, (i as u32).wrapping_mul(7919) % 60_000),
        }))
        .chain([EXIT])
        .collect();
    let recursive = [call(0), EXIT];
    for (name, code, fits) in [
        ("branches", &branches[..], false),
        ("calls", &calls, false),
        ("stores", &stores, true),
        ("held", &held, true),
        ("recursive", &recursive, true),
    ] {
        let start = Instant::now();
        let found = places(&module(&[code]), ProgramId(0));
        assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
        assert_eq!(found.is_ok(), fits, "{name}");
    }
    let recursive = found(&[&[call(0), EXIT]]);
    assert_eq!((recursive.call_depth, recursive.stack_bytes), (9, u64::MAX));
    assert_eq!(found(&[&[EXIT]]).entries, [FunctionId(0)]);
    assert!(places(&module(&[&[EXIT]]), ProgramId(7)).unwrap().entries.is_empty());
}
