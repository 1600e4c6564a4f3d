//! Comparisons and jumps.

use hoist_bpf::module::{InstId, Target};
use hoist_bpf::opcode::{X, class, jmp};
use hoist_bpf::{Insn, passes::asm};
use hoist_hwtests::instructions::{CONDITIONS, CONSTANTS, CORNERS, Line, module, plain, prologue};
use hoist_hwtests::require;

use crate::sides::{Both, operand, pass, result};

const WIDTHS: [(&str, u8); 2] = [("64", class::JMP), ("32", class::JMP32)];

/// `r9` tells whether the jump was taken.
fn around(insn: Insn) -> Vec<Line> {
    let mut code = prologue();
    code.extend([operand(7, 0), operand(8, 1), plain(asm::mov_imm(9, 1))]);
    let over = InstId(code.len() as u32 + 2);
    code.extend([(insn, Target::Jump(over)), plain(asm::mov_imm(9, 0))]);
    code.extend([result(0, 9), result(1, 7), result(2, 8)]);
    code.extend(pass());
    code
}

#[test]
fn comparisons_of_registers_are_the_kernels() {
    if !require::veth("comparisons_of_registers_are_the_kernels") {
        return;
    }
    for (name, op) in CONDITIONS {
        for (width, class) in WIDTHS {
            let name = format!("{name}{width} r7, r8");
            let code = around(Insn::new(class | X | op, 7, 8, 0, 0));
            let mut both = Both::load(&name, module(vec![code])).expect(&name);
            for a in CORNERS {
                CORNERS.iter().for_each(|b| both.agree(&[a, *b]));
            }
        }
    }
}

#[test]
fn comparisons_with_constants_are_the_kernels() {
    if !require::veth("comparisons_with_constants_are_the_kernels") {
        return;
    }
    for (name, op) in CONDITIONS {
        for (width, class) in WIDTHS {
            for constant in CONSTANTS {
                let name = format!("{name}{width} r7, {constant}");
                let code = around(Insn::new(class | op, 7, 0, 0, constant));
                let mut both = Both::load(&name, module(vec![code])).expect(&name);
                CORNERS.iter().for_each(|a| both.agree(&[*a]));
            }
        }
    }
}

#[test]
fn unconditional_jumps_and_loops_are_the_kernels() {
    if !require::veth("unconditional_jumps_and_loops_are_the_kernels") {
        return;
    }
    // Forward over two instructions, back to them, forward to the end: the verifier wants all reached.
    for (name, class) in [("goto", class::JMP), ("gotol", class::JMP32)] {
        let jump = Insn::new(class | jmp::JA, 0, 0, 0, 0);
        let mut code = prologue();
        code.extend([operand(7, 0), plain(asm::mov_imm(9, 1))]);
        let first = code.len() as u32;
        let to = |distance: u32| (jump, Target::Jump(InstId(first + distance)));
        code.extend([to(3), plain(asm::add(9, 7)), to(5)]);
        code.extend([plain(asm::add(9, 9)), to(1), result(0, 9)]);
        code.extend(pass());
        let mut both = Both::try_load(name, module(vec![code])).unwrap();
        CORNERS.iter().for_each(|a| both.agree(&[*a]));
    }
    // r9 += r7, a hundred times.
    let mut code = prologue();
    code.extend([operand(7, 0), plain(asm::mov_imm(9, 0)), plain(asm::mov_imm(8, 100))]);
    let again = InstId(code.len() as u32);
    code.extend([
        plain(asm::add(9, 7)),
        plain(asm::add_imm(8, -1)),
        (Insn::new(class::JMP | jmp::JNE, 8, 0, 0, 0), Target::Jump(again)),
        result(0, 9),
    ]);
    code.extend(pass());
    let mut both = Both::load("loop", module(vec![code])).unwrap();
    CORNERS.iter().for_each(|a| both.agree(&[*a]));
}

#[test]
fn may_goto_ends_a_loop_as_the_kernel_does() {
    if !require::veth("may_goto_ends_a_loop_as_the_kernel_does") || !require::kernel(6, 9) {
        return;
    }
    // while (r7 != 0 && may_goto) r7 -= 1: ends by the condition.
    let mut code = prologue();
    code.push(operand(7, 0));
    let again = code.len() as u32;
    let end = InstId(again + 4);
    code.extend([
        (Insn::new(class::JMP | jmp::JEQ, 7, 0, 0, 0), Target::Jump(end)),
        (Insn::new(class::JMP | jmp::JCOND, 0, 0, 0, 0), Target::Jump(end)),
        plain(asm::add_imm(7, -1)),
        (Insn::new(class::JMP | jmp::JA, 0, 0, 0, 0), Target::Jump(InstId(again))),
        result(0, 7),
    ]);
    code.extend(pass());
    let mut both = Both::try_load("may_goto", module(vec![code])).unwrap();
    for n in [0, 1, 2, 1000, 50_000] {
        both.agree(&[n]);
    }
}
