//! Ranges and offsets of small programs.

use super::*;
use crate::insn::Insn;
use crate::module::{Function, Inst, Linkage, Program, ProgramHint, Target};

const fn i(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(code, dst, src, off, imm)
}

const EXIT: Insn = i(0x95, 0, 0, 0, 0);

/// What a program's instruction at a position is given.
fn at(code: &[Insn], position: usize) -> Option<Given> {
    let inst = |(at, &insn): (usize, &Insn)| Inst {
        id: InstId(at as u32),
        insn,
        wide_imm: None,
        target: match insn.jump_kind() {
            Some(_) => Target::Jump(InstId((at as i64 + 1 + i64::from(insn.off)) as u32)),
            None => Target::None,
        },
        origin: None,
        line: None,
    };
    let module = Module {
        name: String::new(),
        license: String::new(),
        programs: vec![Program {
            name: "main".to_owned(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions: vec![Function {
            name: "main".to_owned(),
            section: "xdp".to_owned(),
            section_offset: 0,
            linkage: Linkage::Global,
            btf_type_id: None,
            code: code.iter().enumerate().map(inst).collect(),
            next_id: code.len() as u32,
        }],
        maps: Vec::new(),
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    };
    let values = values(&module, ProgramId(0), Entry::Xdp).unwrap();
    values.given(FunctionId(0), position).cloned()
}

/// The packet's first byte in `r2`.
const BYTE: [Insn; 2] = [i(0x61, 2, 1, 0, 0), i(0x71, 2, 2, 0, 0)];

fn after(code: &[Insn]) -> Value {
    let mut all = BYTE.to_vec();
    all.extend(code);
    // The register is what the last one moves.
    all.extend([i(0xbf, 3, 2, 0, 0), i(0xb7, 0, 0, 0, 2), EXIT]);
    at(&all, all.len() - 3).unwrap().src
}

#[test]
fn arithmetic_keeps_ranges() {
    let range = |low, high| Value::Number(Range { low, high });
    for (name, code, expected) in [
        ("a byte", vec![], range(0, 255)),
        ("plus 3", vec![i(0x07, 2, 0, 0, 3)], range(3, 258)),
        ("minus 3", vec![i(0x07, 2, 0, 0, -3)], Value::ANY),
        ("times 4", vec![i(0x27, 2, 0, 0, 4)], range(0, 1020)),
        ("and 15", vec![i(0x57, 2, 0, 0, 15)], range(0, 15)),
        ("or 256", vec![i(0x47, 2, 0, 0, 256)], range(256, 511)),
        ("left by 56", vec![i(0x67, 2, 0, 0, 56)], range(0, 255 << 56)),
        ("left by 57", vec![i(0x67, 2, 0, 0, 57)], Value::ANY),
        ("right by 4", vec![i(0x77, 2, 0, 0, 4)], range(0, 15)),
        ("modulo 10", vec![i(0x97, 2, 0, 0, 10)], range(0, 9)),
        ("negated, 32 bits", vec![i(0x84, 2, 0, 0, 0)], Value::Number(Range::WORD)),
        ("swapped", vec![i(0xdc, 2, 0, 0, 16)], range(0, 0xffff)),
        (
            "compared",
            vec![i(0x25, 2, 0, 1, 9), i(0x05, 0, 0, 1, 0), i(0xb7, 2, 0, 0, 7)],
            range(0, 9),
        ),
        (
            "spilled",
            vec![i(0x7b, 10, 2, -8, 0), i(0xb7, 2, 0, 0, 0), i(0x79, 2, 10, -8, 0)],
            range(0, 255),
        ),
        (
            "spilled, then changed",
            vec![i(0x7b, 10, 2, -8, 0), i(0x63, 10, 2, -4, 0), i(0x79, 2, 10, -8, 0)],
            Value::ANY,
        ),
    ] {
        assert_eq!(after(&code), expected, "{name}");
    }
}

#[test]
fn impossible_ways_are_not_taken() {
    let code =
        [&BYTE[..], &[i(0x25, 2, 0, 2, 255), i(0xb7, 0, 0, 0, 2), EXIT, i(0xb7, 0, 0, 0, 1), EXIT]]
            .concat();
    assert!(at(&code, 3).is_some() && at(&code, 5).is_none());
}

#[test]
fn pointers_keep_their_offset() {
    let code = [
        i(0x61, 3, 1, 0, 0),
        i(0x61, 2, 1, 0, 0),
        i(0x71, 2, 2, 0, 0),
        i(0x57, 2, 0, 0, 60),
        i(0x0f, 3, 2, 0, 0),
        i(0x71, 4, 3, 14, 0),
        i(0xb7, 0, 0, 0, 2),
        EXIT,
    ];
    assert_eq!(at(&code, 5).unwrap().src, Value::Packet(Span { low: 0, high: 60 }));
}

/// A counter in a loop is known up to a round number, thanks to the comparison that ends it; a sum is
/// not.
#[test]
fn loops_end() {
    let code = [
        i(0xb7, 2, 0, 0, 0),
        i(0xb7, 3, 0, 0, 0),
        i(0x0f, 3, 2, 0, 0),
        i(0x07, 2, 0, 0, 1),
        i(0xa5, 2, 0, -3, 10),
        i(0xb7, 0, 0, 0, 2),
        EXIT,
    ];
    let sum = at(&code, 2).unwrap();
    assert_eq!(sum.src.range().high, 0xff, "{sum:?}");
    assert!(sum.dst.range().high > 1000, "{sum:?}");
}

/// A copy made in an earlier round of a loop is no copy of what the register holds now.
#[test]
fn copies_of_earlier_rounds_are_not_copies() {
    let code = [
        i(0x61, 2, 1, 0, 0),
        i(0xb7, 4, 0, 0, 0),
        i(0xb7, 5, 0, 0, 0),
        // Round: r4 = r3 of the round before, r3 = r5, r5 = a byte.
        i(0xbf, 4, 3, 0, 0),
        i(0xbf, 3, 5, 0, 0),
        i(0x71, 5, 2, 0, 0),
        i(0x15, 5, 0, -4, 7),
        // r3 is compared: nothing follows for r4.
        i(0x55, 3, 0, 1, 7),
        i(0xbf, 0, 4, 0, 0),
        i(0xb7, 0, 0, 0, 2),
        EXIT,
    ];
    let mut code = code.to_vec();
    code.insert(1, i(0xb7, 3, 0, 0, 99));
    let copied = at(&code, 9).unwrap();
    assert_ne!(copied.src.range().constant(), Some(7), "{copied:?}");
}

#[test]
fn zeroes_on_the_stack_are_known_by_byte() {
    let code = [
        i(0xb7, 3, 0, 0, 0),
        i(0x7b, 10, 3, -16, 0),
        i(0x63, 10, 3, -4, 0),
        i(0x61, 4, 10, -12, 0),
        i(0x61, 5, 10, -4, 0),
        i(0xbf, 0, 4, 0, 0),
        i(0xbf, 0, 5, 0, 0),
        EXIT,
    ];
    assert_eq!(at(&code, 5).unwrap().src, Value::exactly(0));
    assert_eq!(at(&code, 6).unwrap().src, Value::exactly(0));
}
