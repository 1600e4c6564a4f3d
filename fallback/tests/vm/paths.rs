//! What is proven of one access behind a few operations: where paths meet, in loops, after calls.

use std::collections::BTreeMap;

use hoist_bpf::module::{InstId, Map, MapId, Target};
use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::code::Code;
use hoist_fallback::userspace::vm::proof::{Proof, prove};

use crate::machine::{Line, module};

/// A piece of a program.
#[derive(Clone, Copy)]
enum Piece {
    Is(Insn),
    /// A jump to a label.
    To(Insn, &'static str),
    /// The address of the array, or of its value.
    Map(Insn, Target),
    Label(&'static str),
}

use Piece::{Is, Label, To};

const fn when(op: u8, left: u8, right: u8, label: &'static str) -> Piece {
    To(Insn::new(class::JMP | X | op, left, right, 0, 0), label)
}

const fn when_imm(op: u8, left: u8, imm: i32, label: &'static str) -> Piece {
    To(Insn::new(class::JMP | op, left, 0, 0, imm), label)
}

const fn goto(label: &'static str) -> Piece {
    To(asm::goto(), label)
}

const fn mov(dst: u8, src: u8) -> Piece {
    Is(asm::mov(dst, src))
}

const fn add(dst: u8, imm: i32) -> Piece {
    Is(asm::add_imm(dst, imm))
}

const fn and(dst: u8, imm: i32) -> Piece {
    Is(Insn::new(class::ALU64 | alu::AND, dst, 0, 0, imm))
}

const fn load(size: u8, src: u8, off: i16) -> Piece {
    Is(Insn::new(class::LDX | mode::MEM | size, 0, src, off, 0))
}

const fn store(size: u8, dst: u8, off: i16) -> Piece {
    Is(Insn::new(class::ST | mode::MEM | size, dst, 0, off, 1))
}

const fn helper(number: i32) -> Piece {
    Is(Insn::new(0x85, 0, 0, 0, number))
}

/// Behind `r6 = data`, `r7 = data_end`, and numbers of which nothing is known in `r8` and `r9`; in front
/// of the label `out` and the exit. The access in question stands behind the label `here`.
fn proven(pieces: &[Piece]) -> Proof {
    let mut all = vec![
        Is(asm::load32(6, 1, 0)),
        Is(asm::load32(7, 1, 4)),
        Is(asm::load32(8, 1, 16)),
        Is(asm::load32(9, 1, 12)),
    ];
    all.extend(pieces);
    all.extend([Label("out"), Is(asm::mov_imm(0, 2)), Is(asm::exit())]);
    let mut labels = BTreeMap::new();
    let mut at = 0;
    for piece in &all {
        match piece {
            Label(name) => drop(labels.insert(*name, at)),
            _ => at += 1,
        }
    }
    let line = |piece: &Piece| -> Option<Line> {
        match *piece {
            Is(insn) => Some((insn, Target::None)),
            To(insn, label) => Some((insn, Target::Jump(InstId(labels[label])))),
            Piece::Map(insn, target) => Some((insn, target)),
            Label(_) => None,
        }
    };
    let array = Map { kind: 2, key_size: 4, value_size: 8, max_entries: 4, ..Map::default() };
    let module = module(vec![all.iter().filter_map(line).collect()], vec![array]);
    prove(&module, &Code::decode(&module))[0].ops[labels["here"] as usize]
}

#[test]
fn comparisons_with_the_end_prove_what_lies_before() {
    let (frame, maybe) = (Proof::Frame, Proof::MaybeFrame);
    let eight = |op: u8, access: Piece| {
        proven(&[mov(2, 6), add(2, 8), when(op, 2, 7, "out"), Label("here"), access])
    };
    let cases = [
        ("the last byte", jmp::JGT, load(size::B, 6, 7), frame),
        ("all of it", jmp::JGT, load(size::DW, 6, 0), frame),
        ("one too many", jmp::JGT, load(size::B, 6, 8), maybe),
        ("one more where equal is out, too", jmp::JGE, load(size::B, 6, 8), frame),
        ("two more are not", jmp::JGE, load(size::H, 6, 8), maybe),
        ("half behind", jmp::JGT, load(size::W, 6, 5), maybe),
        ("before the start", jmp::JGT, load(size::B, 6, -1), maybe),
        ("back from the end", jmp::JGT, load(size::DW, 2, -8), frame),
        ("too far back", jmp::JGT, load(size::DW, 2, -9), maybe),
        ("a store", jmp::JGT, store(size::DW, 6, 0), frame),
        ("compared the wrong way", jmp::JLT, load(size::B, 6, 0), maybe),
        ("equal is not before", jmp::JEQ, load(size::B, 6, 0), maybe),
        ("not equal is not before, but equal is", jmp::JNE, load(size::B, 6, 0), frame),
    ];
    for (name, op, access, expected) in cases {
        assert_eq!(eight(op, access), expected, "{name}");
    }
}

#[test]
fn where_paths_meet_both_must_hold() {
    // r3 is data plus one of two distances; eight bytes are compared.
    let either = |first: i32, second: i32, access: Piece| {
        proven(&[
            mov(2, 6),
            add(2, 8),
            when(jmp::JGT, 2, 7, "out"),
            mov(3, 6),
            when_imm(jmp::JEQ, 9, 3, "else"),
            add(3, first),
            goto("met"),
            Label("else"),
            add(3, second),
            Label("met"),
            Label("here"),
            access,
        ])
    };
    let cases = [
        ("behind both", 2, 3, load(size::B, 3, 4), Proof::Frame),
        ("too far for one", 2, 3, load(size::B, 3, 5), Proof::MaybeFrame),
        ("back from both", 2, 3, load(size::B, 3, -2), Proof::Frame),
        ("too far back for one", 2, 3, load(size::B, 3, -3), Proof::MaybeFrame),
        ("before the start", -1, -2, load(size::B, 3, 0), Proof::Unknown),
        ("the same", 4, 4, load(size::W, 3, 0), Proof::Frame),
    ];
    for (name, first, second, access, expected) in cases {
        assert_eq!(either(first, second, access), expected, "{name}");
    }
    // Only one path compares.
    let one = [
        mov(2, 6),
        add(2, 8),
        when_imm(jmp::JEQ, 9, 3, "met"),
        when(jmp::JGT, 2, 7, "out"),
        Label("met"),
        Label("here"),
        load(size::B, 6, 0),
    ];
    assert_eq!(proven(&one), Proof::MaybeFrame);
}

#[test]
fn loops_carry_only_what_every_pass_keeps() {
    // p walks; each pass compares two bytes, then reads them.
    let walk = |read: Piece| {
        proven(&[
            mov(3, 6),
            Label("again"),
            mov(2, 3),
            add(2, 2),
            when(jmp::JGT, 2, 7, "out"),
            Label("here"),
            read,
            add(3, 2),
            goto("again"),
        ])
    };
    assert_eq!(walk(load(size::H, 3, 0)), Proof::Frame);
    assert_eq!(walk(load(size::W, 3, 0)), Proof::MaybeFrame);
    assert_eq!(walk(load(size::B, 3, -1)), Proof::MaybeFrame);

    // Two addresses go together until, late, one goes on alone: what is compared of the other says
    // nothing of it.
    let drift = |read: Piece| {
        proven(&[
            mov(3, 6),
            add(3, 16),
            mov(4, 6),
            add(4, 14),
            Is(asm::mov_imm(5, 0)),
            Label("again"),
            mov(2, 4),
            add(2, 10),
            when(jmp::JGT, 2, 7, "out"),
            Label("here"),
            read,
            add(3, 2),
            add(5, 1),
            when_imm(jmp::JEQ, 5, 50, "again"),
            add(4, 2),
            goto("again"),
        ])
    };
    assert_eq!(drift(load(size::DW, 4, 2)), Proof::Frame);
    assert_ne!(drift(load(size::DW, 3, 0)), Proof::Frame);

    // An address that may have wrapped around is in no known place.
    let wrap = [
        mov(3, 6),
        Label("again"),
        Is(asm::add(3, 8)),
        when_imm(jmp::JNE, 9, 5, "again"),
        mov(2, 3),
        add(2, 8),
        when(jmp::JGT, 2, 7, "out"),
        Label("here"),
        load(size::B, 3, 0),
    ];
    assert_eq!(proven(&wrap), Proof::Unknown);
    let far = [
        mov(2, 6),
        add(2, 1 << 21),
        when(jmp::JGT, 2, 7, "out"),
        Label("here"),
        load(size::B, 6, 0),
    ];
    assert_eq!(proven(&far), Proof::MaybeFrame);
}

#[test]
fn numbers_added_to_addresses_are_bounded() {
    let behind = |mask: i32, read: Piece| {
        proven(&[
            and(8, mask),
            mov(3, 6),
            Is(asm::add(3, 8)),
            mov(2, 3),
            add(2, 4),
            when(jmp::JGT, 2, 7, "out"),
            Label("here"),
            read,
        ])
    };
    assert_eq!(behind(60, load(size::W, 3, 0)), Proof::Frame);
    assert_eq!(behind(60, load(size::W, 3, 1)), Proof::MaybeFrame);
    assert_eq!(behind(60, load(size::B, 6, 0)), Proof::MaybeFrame);
}

#[test]
fn the_frame_is_another_one_after_it_was_moved() {
    let mut code = vec![
        Is(asm::mov(4, 1)),
        mov(2, 6),
        add(2, 8),
        when(jmp::JGT, 2, 7, "out"),
        Is(asm::mov_imm(2, 4)),
        helper(44),
    ];
    let stale = [Label("here"), load(size::B, 6, 0)];
    assert_eq!(proven(&[&code[..], &stale[..]].concat()), Proof::Unknown);
    code.extend([Is(asm::load32(6, 4, 0)), Label("here"), load(size::B, 6, 0)]);
    assert_eq!(proven(&code), Proof::MaybeFrame);
}

#[test]
fn the_stack_keeps_what_nothing_overwrites() {
    let spilled = |between: &[Piece]| {
        let mut code =
            vec![mov(2, 6), add(2, 8), when(jmp::JGT, 2, 7, "out"), Is(asm::store64(10, -16, 6))];
        code.extend(between);
        code.extend([Is(asm::load64(3, 10, -16)), Label("here"), load(size::DW, 3, 0)]);
        proven(&code)
    };
    let through = [mov(2, 10), add(2, -16), Is(asm::add(2, 8)), store(size::B, 2, 0)];
    let masked = [&[and(8, 7)][..], &through[..]].concat();
    assert_eq!(spilled(&[]), Proof::Frame);
    assert_eq!(spilled(&[store(size::DW, 10, -8), store(size::DW, 10, -24)]), Proof::Frame);
    assert_eq!(spilled(&[store(size::B, 10, -9)]), Proof::Unknown, "a byte of it");
    assert_eq!(spilled(&masked), Proof::Unknown, "a byte somewhere in it");
    assert_eq!(spilled(&through), Proof::Unknown, "a byte anywhere");
    assert_eq!(spilled(&[store(size::B, 8, 0)]), Proof::Frame, "32 bits address no stack");
    let unknown = [Is(asm::load64(2, 10, -32)), store(size::B, 2, 0)];
    assert_eq!(spilled(&unknown), Proof::Unknown, "any address");
    assert_eq!(spilled(&[helper(5)]), Proof::Frame, "a clock writes nothing");
    assert_eq!(spilled(&[helper(69)]), Proof::Unknown, "a route is written somewhere");

    let own = |off: i32, read: Piece| {
        proven(&[store(size::DW, 10, -64), mov(2, 10), add(2, off), Label("here"), read])
    };
    assert_eq!(own(-64, load(size::DW, 2, 0)), Proof::Stack(-64));
    assert_eq!(own(-4, load(size::DW, 2, 0)), Proof::MaybeStack);
    assert_eq!(own(-64, load(size::DW, 2, -8)), Proof::MaybeStack, "below what is cleared");
}

#[test]
fn values_are_proven_once_they_are_known_to_be_there() {
    const MAP: MapId = MapId(0);
    let looked_up = |between: &[Piece], access: Piece| {
        let mut code = vec![
            store(size::W, 10, -4),
            Piece::Map(asm::load_map(1), Target::Map(MAP)),
            mov(2, 10),
            add(2, -4),
            helper(1),
        ];
        code.extend(between);
        code.extend([Label("here"), access]);
        proven(&code)
    };
    let checked = [when_imm(jmp::JEQ, 0, 0, "out")];
    assert_eq!(looked_up(&checked, load(size::DW, 0, 0)), Proof::Value(MAP));
    assert_eq!(looked_up(&checked, store(size::W, 0, 4)), Proof::Value(MAP));
    assert_eq!(looked_up(&checked, load(size::W, 0, 5)), Proof::MaybeValue(MAP));
    assert_eq!(looked_up(&checked, load(size::B, 0, -1)), Proof::MaybeValue(MAP));
    assert_eq!(looked_up(&[], load(size::B, 0, 0)), Proof::Unknown);
    let null = [when_imm(jmp::JNE, 0, 0, "out")];
    assert_eq!(looked_up(&null, load(size::B, 0, 0)), Proof::Unknown);
    // A copy is known together with the original.
    let copied = [mov(3, 0), when_imm(jmp::JEQ, 0, 0, "out")];
    assert_eq!(looked_up(&copied, load(size::B, 3, 0)), Proof::Value(MAP));
    // Behind the value by a number.
    let indexed = [checked[0], and(8, 4), Is(asm::add(0, 8))];
    assert_eq!(looked_up(&indexed, load(size::W, 0, 0)), Proof::Value(MAP));
    assert_eq!(looked_up(&indexed, load(size::W, 0, 1)), Proof::MaybeValue(MAP));
    let known = |offset: u32| {
        let value = Insn::new(0x18, 2, 2, 0, 0);
        let address = Piece::Map(value, Target::MapValue { map: MAP, offset });
        proven(&[address, Label("here"), load(size::W, 2, 0)])
    };
    assert_eq!(known(4), Proof::Value(MAP));
    assert_eq!(known(5), Proof::MaybeValue(MAP));
}
