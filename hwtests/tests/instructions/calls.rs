//! Calls of subprograms.

use hoist_bpf::module::{FunctionId, InitialSlot, InstId, Map, MapId, Module, Target};
use hoist_bpf::opcode::{alu, class, jmp};
use hoist_bpf::{Insn, passes::asm};
use hoist_hwtests::instructions::{CORNERS, Line, module, plain, prologue};
use hoist_hwtests::require;

use crate::sides::{Both, operand, pass, result};

fn call(function: u32) -> Line {
    (asm::call(), Target::Call(FunctionId(function)))
}

/// `r1` to `r5` go in, `r0` comes out, `r6` to `r9` survive, and each function has its own stack.
#[test]
fn calls_keep_what_they_must() {
    if !require::veth("calls_keep_what_they_must") {
        return;
    }
    let mut main = prologue();
    main.extend((1..6).map(|n| operand(n as u8, n - 1)));
    main.extend([operand(7, 5), operand(8, 6), operand(9, 7), plain(asm::store64(10, -8, 9))]);
    main.push(call(1));
    main.extend([result(0, 0), result(1, 7), result(2, 8), result(3, 9)]);
    main.extend([plain(asm::load64(7, 10, -8)), result(4, 7)]);
    main.extend(pass());
    // r0 = r1 - r2 + (r3 ... through one more level), with r6 to r9 and the stack overwritten.
    let inner = vec![
        plain(asm::mov(6, 1)),
        plain(asm::sub(6, 2)),
        plain(asm::mov(7, 3)),
        plain(asm::mov(8, 4)),
        plain(asm::mov(9, 5)),
        plain(asm::store64(10, -8, 6)),
        plain(asm::mov(1, 7)),
        plain(asm::mov(2, 8)),
        plain(asm::mov(3, 10)),
        plain(asm::add_imm(3, -8)),
        call(2),
        plain(asm::load64(1, 10, -8)),
        plain(asm::add(0, 1)),
        plain(asm::sub(0, 9)),
        plain(asm::exit()),
    ];
    // Changes its caller's stack through a pointer.
    let innermost = vec![
        plain(asm::store64(10, -8, 2)),
        plain(asm::load64(4, 3, 0)),
        plain(asm::add(4, 1)),
        plain(asm::store64(3, 0, 4)),
        plain(asm::load64(0, 10, -8)),
        plain(asm::mov_imm(6, 77)),
        plain(asm::exit()),
    ];
    let mut both = Both::try_load("calls", module(vec![main, inner, innermost])).unwrap();
    for a in CORNERS {
        both.agree(&[a, !a, a ^ 5, a.rotate_left(3), 17, a << 1, a >> 1, 99]);
    }
}

/// Adds a prog array of three slots: the first holds program `f0`, the last `f1`.
fn with_slots(mut module: Module) -> Module {
    let slot =
        |slot, function| InitialSlot { slot, value: Target::FunctionAddress(FunctionId(function)) };
    let mut other = module.programs[0].clone();
    (other.name, other.function) = ("f1".to_owned(), FunctionId(1));
    module.programs.push(other);
    module.maps.push(Map {
        name: "programs".to_owned(),
        kind: 3,
        key_size: 4,
        value_size: 4,
        max_entries: 3,
        initial: vec![slot(0, 0), slot(2, 1)],
        ..Map::default()
    });
    module
}

/// `bpf_tail_call` with the context that was saved at `r10 - 8`.
fn tail_call(slot: Line) -> [Line; 4] {
    [
        plain(asm::load64(1, 10, -8)),
        (asm::load_map(2), Target::Map(MapId(0))),
        slot,
        plain(Insn::new(0x85, 0, 0, 0, 12)),
    ]
}

/// The slot as a constant, for which the kernel patches jumps, and from operand 1, for which it looks
/// into the array.
fn slots(slot: i32) -> [Line; 2] {
    [plain(asm::mov_imm(3, slot)), operand(3, 1)]
}

#[test]
fn tail_calls_end_where_the_kernels_do() {
    if !require::veth("tail_calls_end_where_the_kernels_do") {
        return;
    }
    let last = vec![plain(asm::mov_imm(0, 3)), plain(asm::exit())];
    // Counts how often it runs, calling itself.
    let mut chain = prologue();
    chain.extend([plain(asm::store64(10, -8, 1)), plain(asm::load64(7, 6, 64))]);
    chain.extend([plain(asm::add_imm(7, 1)), result(0, 7)]);
    chain.extend(tail_call(plain(asm::mov_imm(3, 0))));
    chain.extend(pass());
    let chain = with_slots(module(vec![chain, last.clone()]));
    Both::try_load("a chain of tail calls", chain).unwrap().agree(&[]);

    // Calls into the empty slot and beyond the array, as often as the operand says, then into the
    // last: whether those count is what the verdict tells.
    let cases = [("empty slots", 1_u64), ("slots beyond the array", 3)];
    let cases = cases.map(|(name, slot)| slots(slot as i32).map(|line| (name, slot, line)));
    for (name, slot, line) in cases.concat() {
        let mut code = prologue();
        code.extend([plain(asm::store64(10, -8, 1)), operand(7, 0)]);
        code.push(plain(Insn::new(class::ALU64 | alu::AND, 7, 0, 0, 63)));
        let again = code.len() as u32;
        let end = InstId(again + 7);
        code.push((Insn::new(class::JMP | jmp::JEQ, 7, 0, 0, 0), Target::Jump(end)));
        code.push(plain(asm::add_imm(7, -1)));
        code.extend(tail_call(line));
        code.push((asm::goto(), Target::Jump(InstId(again))));
        code.extend(tail_call(plain(asm::mov_imm(3, 2))));
        code.extend(pass());
        let module = with_slots(module(vec![code, last.clone()]));
        let mut both = Both::try_load(name, module).unwrap();
        for times in [0, 1, 31, 32, 33, 34, 40] {
            both.agree(&[times, slot]);
        }
    }
}
