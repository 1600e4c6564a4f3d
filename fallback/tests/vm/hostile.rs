//! Code that no verifier would pass: each ends in a fault of its name, at its instruction, and the
//! next run starts afresh.

use std::sync::Arc;

use hoist_bpf::module::{FunctionId, Map, MapId, ProgramId, Target};
use hoist_bpf::opcode::{X, alu, atomic, class, jmp, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::{Machine, Options};

use crate::machine::{Line, machine, module, plain, run, to, ways};

fn exit() -> Line {
    plain(asm::exit())
}

fn call(function: u32) -> Line {
    (asm::call(), Target::Call(FunctionId(function)))
}

fn map(number: u32) -> Line {
    (asm::load_map(1), Target::Map(MapId(number)))
}

fn value(dst: u8, number: u32, offset: u32) -> Line {
    (Insn::new(0x18, dst, 2, 0, 0), Target::MapValue { map: MapId(number), offset })
}

const fn load(size: u8, dst: u8, src: u8, off: i16) -> Line {
    plain(Insn::new(class::LDX | mode::MEM | size, dst, src, off, 0))
}

const fn store(size: u8, dst: u8, off: i16) -> Line {
    plain(Insn::new(class::ST | mode::MEM | size, dst, 0, off, 7))
}

const fn helper(number: i32) -> Line {
    plain(Insn::new(0x85, 0, 0, 0, number))
}

/// `r6 = data`, then the code. It stands behind one instruction.
fn on_frame(code: impl IntoIterator<Item = Line>) -> Vec<Vec<Line>> {
    let start = plain(asm::load32(6, 1, 0));
    vec![[start].into_iter().chain(code).chain([exit()]).collect()]
}

fn alone(line: Line) -> Vec<Vec<Line>> {
    vec![vec![line, exit()]]
}

/// Name, code, expected fault and the operation at which it happens.
type Case = (&'static str, Vec<Vec<Line>>, &'static str, u32);

fn invalid() -> Vec<Case> {
    let invalid = "invalid-instruction";
    let bad_register = Insn { regs: 0xb0, ..asm::mov(0, 0) };
    vec![
        ("no code", vec![vec![]], invalid, 0),
        // What stands behind the end is told at the last instruction.
        ("falls off the end", vec![vec![plain(asm::mov_imm(0, 2))]], invalid, 0),
        ("an unknown code", alone(plain(Insn::new(0xff, 0, 0, 0, 0))), invalid, 0),
        ("register 11", alone(plain(bad_register)), invalid, 0),
        ("writes r10", alone(plain(asm::mov_imm(10, 0))), invalid, 0),
        ("jumps nowhere", alone(to(asm::goto(), 77)), invalid, 0),
        ("jumps without a target", alone(plain(asm::goto())), invalid, 0),
        ("calls nobody", alone(call(9)), invalid, 0),
        ("no such map", alone((asm::load_map(1), Target::Map(MapId(9)))), invalid, 0),
        ("a legacy load", alone(plain(Insn::new(0x20, 0, 0, 0, 0))), invalid, 0),
        ("an indirect call", alone(plain(Insn::new(0x8d, 0, 0, 0, 0))), invalid, 0),
        ("a swap of 24 bits", alone(plain(Insn::new(0xd7, 0, 0, 0, 24))), invalid, 0),
        ("an atomic on a byte", alone(plain(Insn::new(0xd3, 10, 1, -8, 0))), invalid, 0),
        ("an unknown atomic", alone(plain(Insn::new(0xdb, 10, 1, -8, 0x77))), invalid, 0),
    ]
}

fn memory() -> Vec<Case> {
    let (wild, bounds, context) = ("wild-address", "out-of-bounds", "context-access");
    let exchange = Insn::new(class::STX | mode::ATOMIC | size::DW, 10, 1, -12, atomic::XCHG);
    let top = Insn::new(class::ALU64 | alu::MOV, 2, 0, 0, -1);
    vec![
        ("null", alone(load(size::B, 0, 2, 0)), wild, 0),
        (
            "a small number",
            vec![vec![plain(asm::mov_imm(2, 99)), store(size::W, 2, 0), exit()]],
            wild,
            1,
        ),
        ("minus one", vec![vec![plain(top), load(size::DW, 0, 2, 0), exit()]], wild, 1),
        ("a map as such", vec![vec![map(0), load(size::DW, 0, 1, 0), exit()]], wild, 1),
        (
            "a function as such",
            vec![vec![
                (Insn::new(0x18, 2, 4, 0, 0), Target::FunctionAddress(FunctionId(0))),
                load(size::DW, 0, 2, 0),
                exit(),
            ]],
            wild,
            1,
        ),
        ("behind the frame", on_frame([load(size::B, 0, 6, 60)]), bounds, 1),
        ("half behind the frame", on_frame([load(size::DW, 0, 6, 53)]), bounds, 1),
        ("before the frame", on_frame([load(size::B, 0, 6, -1)]), bounds, 1),
        ("writes behind the frame", on_frame([store(size::H, 6, 59)]), bounds, 1),
        ("above the stack", alone(load(size::DW, 0, 10, 0)), bounds, 0),
        ("half above the stack", alone(store(size::DW, 10, -4)), bounds, 0),
        ("below the stack", alone(store(size::B, 10, -513)), bounds, 0),
        (
            "below the stack by arithmetic",
            vec![vec![
                plain(asm::mov(2, 10)),
                plain(asm::mov_imm(3, 520)),
                plain(asm::sub(2, 3)),
                load(size::DW, 0, 2, 0),
                exit(),
            ]],
            bounds,
            3,
        ),
        ("writes the context", alone(store(size::W, 1, 0)), context, 0),
        ("half a field", alone(load(size::H, 0, 1, 0)), context, 0),
        ("between fields", alone(load(size::W, 0, 1, 2)), context, 0),
        ("behind the context", alone(load(size::W, 0, 1, 24)), context, 0),
        ("an unaligned atomic", alone(plain(exchange)), "unaligned-atomic", 0),
        ("behind a value", vec![vec![value(2, 0, 16), load(size::B, 0, 2, 0), exit()]], bounds, 1),
        (
            "half behind a value",
            vec![vec![value(2, 0, 5), store(size::W, 2, 0), exit()]],
            bounds,
            1,
        ),
    ]
}

fn calls() -> Vec<Case> {
    let argument = "bad-helper-argument";
    let lookup = |key: Line| vec![vec![map(0), key, helper(1), exit()]];
    vec![
        ("recursion", vec![vec![call(0), exit()]], "call-depth", 0),
        (
            "a lookup in a number",
            vec![vec![plain(asm::mov_imm(1, 5)), helper(1), exit()]],
            argument,
            1,
        ),
        ("a lookup of null", lookup(plain(asm::mov_imm(2, 0))), "", 2),
        (
            "a tail call through a number",
            vec![vec![plain(asm::mov_imm(2, 1)), helper(12), exit()]],
            argument,
            1,
        ),
        (
            "a tail call without the context",
            vec![vec![plain(asm::mov_imm(1, 1)), helper(12), exit()]],
            argument,
            1,
        ),
        (
            "a loop over a number",
            vec![vec![
                plain(asm::mov_imm(1, 5)),
                plain(asm::mov_imm(2, 5)),
                plain(asm::mov_imm(4, 0)),
                helper(181),
                exit(),
            ]],
            "",
            3,
        ),
    ]
}

#[test]
fn hostile_code_ends_in_a_fault_of_its_name() {
    let array = Map {
        name: "array".to_owned(),
        kind: 2,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        ..Map::default()
    };
    for (name, functions, expected, op) in [invalid(), memory(), calls()].concat() {
        let module = module(functions, vec![array.clone()]);
        for options in ways(1 << 20) {
            let mut machine = machine(&module, &options);
            // Twice: the first run leaves nothing behind that changes the second.
            for _ in 0..2 {
                let (ran, _) = run(&mut machine, &[1; 60]);
                let way = options.compile;
                let Some(fault) = ran.fault else {
                    assert_eq!(expected, "", "{name}, {way:?}: no fault but {}", ran.code);
                    continue;
                };
                if !expected.is_empty() {
                    assert_eq!(fault.kind.code(), expected, "{name}, {way:?}: {fault}");
                }
                assert_eq!((ran.code, fault.inst.0), (0, op), "{name}, {way:?}: {fault}");
            }
        }
    }
}

/// A fault says where it was, in words.
#[test]
fn a_fault_names_its_place() {
    let module = module(on_frame([load(size::DW, 0, 6, 53)]), Vec::new());
    for options in ways(1 << 20) {
        let (ran, _) = run(&mut machine(&module, &options), &[1; 60]);
        let text = ran.fault.unwrap().to_string();
        let expected =
            "out-of-bounds: read of 8 bytes at byte 53 of the frame, which has 60 (at f0+1)";
        assert_eq!(text, expected);
    }
}

/// What the machine is seen to lack is told before anything runs.
#[test]
fn unknown_helpers_are_gaps() {
    let module = Arc::new(module(alone(helper(9999)), Vec::new()));
    let gaps = Machine::new(&module, ProgramId(0), &Options::default()).unwrap_err();
    assert_eq!(gaps.iter().map(|gap| gap.code.as_str()).collect::<Vec<_>>(), ["missing-helper"]);
}

#[test]
fn garbage_never_brings_the_machine_down() {
    // Words that look random, as instructions: SplitMix64.
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let classes = [class::ALU64 | X, class::ALU, class::LDX | mode::MEM, class::STX | mode::MEM];
    for _ in 0..300 {
        let length = 1 + word() % 40;
        let mut code = Vec::new();
        for _ in 0..length {
            let mut insn = Insn::from_ne_bytes(word().to_ne_bytes());
            // Half of it nearly right, so that runs come further than one instruction.
            if word() % 2 == 0 {
                insn.code = classes[(word() % 4) as usize] | (word() as u8 & 0x18);
                insn.regs = (word() % 10) as u8 | ((word() % 11) as u8) << 4;
                insn.imm = 0;
                insn.off = 0;
            }
            let target = if insn.jump_kind().is_some() {
                Target::Jump(hoist_bpf::module::InstId((word() % length) as u32))
            } else if insn.code == class::JMP | jmp::CALL {
                Target::Call(FunctionId((word() % 2) as u32))
            } else {
                Target::None
            };
            code.push((insn, target));
        }
        let module = Arc::new(module(vec![code.clone(), code], Vec::new()));
        let results = ways(10_000).map(|options| {
            // Random words may call helpers that there are not.
            let Ok(mut machine) = Machine::new(&module, ProgramId(0), &options) else {
                return (0, None, Vec::new());
            };
            let (ran, frame) = run(&mut machine, &[3; 60]);
            let fault = ran.fault.map(|fault| (fault.kind.code(), fault.function, fault.inst));
            (ran.code, fault, frame)
        });
        let [interpreted, compiled, paranoid] = results;
        assert_eq!(interpreted, compiled, "{:#?}", module.functions[0].code);
        assert_eq!(interpreted, paranoid, "{:#?}", module.functions[0].code);
    }
}
