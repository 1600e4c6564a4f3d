//! Arithmetic, moves and byte order.

use hoist_bpf::Insn;
use hoist_bpf::opcode::{X, alu, class};
use hoist_hwtests::instructions::{CONSTANTS, CORNERS, Line, OPERATIONS, module, plain, prologue};
use hoist_hwtests::require;

use crate::sides::{Both, operand, pass, result};

/// The operation in the middle of a program that gives it operands in `r7` and `r8`.
fn around(insn: Insn) -> Vec<Line> {
    around_all(&[insn])
}

fn around_all(insns: &[Insn]) -> Vec<Line> {
    let mut code = prologue();
    code.extend([operand(7, 0), operand(8, 1)]);
    code.extend(insns.iter().copied().map(plain));
    code.extend([result(0, 7), result(1, 8)]);
    code.extend(pass());
    code
}

fn every_pair(both: &mut Both) {
    for a in CORNERS {
        for b in CORNERS {
            both.agree(&[a, b]);
        }
    }
}

const WIDTHS: [(&str, u8); 2] = [("64", class::ALU64), ("32", class::ALU)];

#[test]
fn two_registers_make_what_the_kernel_makes_of_them() {
    if !require::veth("two_registers_make_what_the_kernel_makes_of_them") {
        return;
    }
    for (name, op, off) in OPERATIONS {
        for (width, class) in WIDTHS {
            let name = format!("{name}{width} r7, r8");
            let insn = Insn::new(class | X | op, 7, 8, off, 0);
            every_pair(&mut Both::load(&name, module(vec![around(insn)])).expect(&name));
            // A register with itself.
            let name = format!("{name} r7, r7");
            let insn = Insn::new(class | X | op, 7, 7, off, 0);
            let mut both = Both::load(&name, module(vec![around(insn)])).expect(&name);
            CORNERS.iter().for_each(|a| both.agree(&[*a]));
        }
    }
}

#[test]
fn a_register_and_a_constant_make_what_the_kernel_makes_of_them() {
    if !require::veth("a_register_and_a_constant_make_what_the_kernel_makes_of_them") {
        return;
    }
    let mut refused = Vec::new();
    for (name, op, off) in OPERATIONS {
        for (width, class) in WIDTHS {
            for constant in CONSTANTS {
                let name = format!("{name}{width} r7, {constant}");
                let insn = Insn::new(class | op, 7, 0, off, constant);
                match Both::load(&name, module(vec![around(insn)])) {
                    Some(mut both) => CORNERS.iter().for_each(|a| both.agree(&[*a])),
                    None => refused.push((op, constant)),
                }
            }
        }
    }
    // `check_alu_op`: division by a constant zero and shifts beyond the width.
    let shift = |op| matches!(op, alu::LSH | alu::RSH | alu::ARSH);
    let divides = |op| matches!(op, alu::DIV | alu::MOD);
    let surprises: Vec<_> = refused
        .iter()
        .filter(|(op, constant)| {
            !(divides(*op) && *constant == 0 || shift(*op) && !(0..32).contains(constant))
        })
        .collect();
    assert!(surprises.is_empty(), "{surprises:?}");
    assert_eq!(refused.len(), 4 * 2 + 3 * 2 * 8, "{refused:?}");
}

#[test]
fn moves_negations_and_swaps_are_the_kernels() {
    if !require::veth("moves_negations_and_swaps_are_the_kernels") {
        return;
    }
    let mut cases = vec![
        ("neg64", Insn::new(class::ALU64 | alu::NEG, 7, 0, 0, 0)),
        ("neg32", Insn::new(class::ALU | alu::NEG, 7, 0, 0, 0)),
        ("mov64", Insn::new(class::ALU64 | X | alu::MOV, 7, 8, 0, 0)),
        ("mov32", Insn::new(class::ALU | X | alu::MOV, 7, 8, 0, 0)),
        ("movsx8to64", Insn::new(class::ALU64 | X | alu::MOV, 7, 8, 8, 0)),
        ("movsx16to64", Insn::new(class::ALU64 | X | alu::MOV, 7, 8, 16, 0)),
        ("movsx32to64", Insn::new(class::ALU64 | X | alu::MOV, 7, 8, 32, 0)),
        ("movsx8to32", Insn::new(class::ALU | X | alu::MOV, 7, 8, 8, 0)),
        ("movsx16to32", Insn::new(class::ALU | X | alu::MOV, 7, 8, 16, 0)),
        ("movsx8to64 onto itself", Insn::new(class::ALU64 | X | alu::MOV, 7, 7, 8, 0)),
    ];
    for constant in CONSTANTS {
        cases.push(("mov64 constant", Insn::new(class::ALU64 | alu::MOV, 7, 0, 0, constant)));
        cases.push(("mov32 constant", Insn::new(class::ALU | alu::MOV, 7, 0, 0, constant)));
    }
    for bits in [16, 32, 64] {
        cases.push(("le", Insn::new(class::ALU | alu::END, 7, 0, 0, bits)));
        cases.push(("be", Insn::new(class::ALU | X | alu::END, 7, 0, 0, bits)));
        cases.push(("bswap", Insn::new(class::ALU64 | alu::END, 7, 0, 0, bits)));
    }
    for (name, insn) in cases {
        let mut both = Both::load(name, module(vec![around(insn)])).expect(name);
        for a in CORNERS {
            both.agree(&[a, !a]);
            both.agree(&[!a, a]);
        }
    }
}

/// Sequences that the interpreter runs in one step, and others that look like them.
#[test]
fn sequences_are_the_kernels() {
    if !require::veth("sequences_are_the_kernels") {
        return;
    }
    let k = |op: u8, dst: u8, imm: i32| Insn::new(class::ALU64 | op, dst, 0, 0, imm);
    let mov = Insn::new(class::ALU64 | X | alu::MOV, 7, 8, 0, 0);
    let left = k(alu::LSH, 7, 32);
    let cases: [&[Insn]; 12] = [
        &[mov, left, k(alu::RSH, 7, 32)],
        &[mov, left, k(alu::ARSH, 7, 32)],
        &[left, k(alu::RSH, 7, 32)],
        &[left, k(alu::ARSH, 7, 32)],
        &[mov, left, k(alu::RSH, 7, 31)],
        &[mov, k(alu::LSH, 7, 31), k(alu::RSH, 7, 32)],
        &[mov, k(alu::LSH, 8, 32), k(alu::RSH, 7, 32)],
        &[left, k(alu::RSH, 8, 32)],
        &[left, k(alu::ARSH, 7, 16)],
        &[mov, k(alu::ADD, 7, -5)],
        &[mov, k(alu::ADD, 8, 5)],
        &[mov, k(alu::ADD, 7, i32::MIN), k(alu::ADD, 7, 1)],
    ];
    for insns in cases {
        let name = format!("{insns:?}");
        let mut both = Both::load(&name, module(vec![around_all(insns)])).expect(&name);
        for a in CORNERS {
            both.agree(&[a, !a]);
            both.agree(&[!a, a]);
        }
    }
}
