//! Small programs for each rewrite of an instruction, with the operands at which implementations go
//! wrong.

use std::collections::BTreeMap;

use hoist_bpf::Insn;
use hoist_bpf::module::{InstId, Module, ProgramId, Target};
use hoist_bpf::opcode::{X, alu, atomic, class, jmp, mode, size};
use hoist_bpf::passes::asm;
use hoist_bpf::passes::lower::lower;
use hoist_hwtests::fuzz::{Random, lowered};
use hoist_hwtests::instructions::{
    CONDITIONS, CONSTANTS, CORNERS, FRAME, Line, OPERATIONS, RESULTS, module, plain, prologue,
};
use hoist_hwtests::require;

use crate::pair::{Pair, stay};

/// How many registers are in use around the instruction: with all, there is none to compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressure {
    Low,
    High,
}

/// Instructions between operands from the frame in every register and results to it; jumps among them
/// count from their first.
fn around(middle: &[Line], pressure: Pressure) -> Module {
    let mut code = prologue();
    let registers: &[u8] = match pressure {
        Pressure::Low => &[7, 8],
        Pressure::High => &[7, 8, 0, 1, 2, 3, 4, 5, 9],
    };
    for (number, &register) in registers.iter().enumerate() {
        code.push(plain(asm::load64(register, 6, 8 * (number % 8) as i16)));
    }
    let first = code.len() as u32;
    for &(insn, target) in middle {
        let target = match target {
            Target::Jump(InstId(to)) => Target::Jump(InstId(first + to)),
            other => other,
        };
        code.push((insn, target));
    }
    for (number, &register) in registers.iter().enumerate() {
        code.push(plain(asm::store64(6, RESULTS + 8 * number as i16, register)));
    }
    code.extend([plain(asm::mov_imm(0, 2)), plain(asm::exit())]);
    module(vec![code])
}

fn frame(operands: &[u64]) -> Vec<u8> {
    let mut frame: Vec<u8> = operands.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let mut random = Random::new(operands.iter().fold(7, |a, b| a ^ b), 1);
    while frame.len() < RESULTS as usize {
        frame.extend(random.word().to_ne_bytes());
    }
    frame.resize(FRAME, 0);
    frame
}

/// Compares on every pair of operands; whether the kernel takes the original at all.
fn check(name: &str, middle: &[Line]) -> bool {
    let mut taken = false;
    for pressure in [Pressure::Low, Pressure::High] {
        let name = format!("{name}, {pressure:?}");
        let original = around(middle, pressure);
        for target in [lowered::least(), lowered::card()] {
            let lowered = lower(&original, ProgramId(0), &target)
                .unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            let left = lowered.module.functions[0].code.iter().find(|i| !target.takes(i.insn));
            assert_eq!(left, None, "{name}");
            let pair = Pair::load(&name, &original, ProgramId(0), lowered, &BTreeMap::new());
            let Some(pair) = pair else { continue };
            taken = true;
            for a in CORNERS {
                for b in CORNERS {
                    assert_eq!(pair.agree(&frame(&[a, b])), 2, "{name}");
                }
            }
        }
    }
    taken
}

#[test]
fn arithmetic_gives_the_same_in_all_bits() {
    if !require::veth("arithmetic_gives_the_same_in_all_bits") || !require::kernel(6, 6) {
        return;
    }
    stay();
    for (name, op, off) in OPERATIONS {
        for class in [class::ALU, class::ALU64] {
            let name = format!("{name} of class {class}");
            let two = Insn::new(class | X | op, 7, 8, off, 0);
            assert!(check(&name, &[plain(two)]), "{name} is not taken");
            let same = Insn::new(class | X | op, 7, 7, off, 0);
            assert!(check(&name, &[plain(same)]), "{name} with itself is not taken");
        }
    }
}

#[test]
fn arithmetic_with_constants_gives_the_same_in_all_bits() {
    let test = "arithmetic_with_constants_gives_the_same_in_all_bits";
    if !require::veth(test) || !require::kernel(6, 6) {
        return;
    }
    stay();
    let mut taken = 0;
    for (name, op, off) in OPERATIONS {
        for class in [class::ALU, class::ALU64] {
            for constant in CONSTANTS {
                let name = format!("{name} {constant} of class {class}");
                let insn = Insn::new(class | op, 7, 0, off, constant);
                taken += u32::from(check(&name, &[plain(insn)]));
            }
        }
    }
    // Division by a constant zero and shifts beyond the width are refused.
    assert_eq!(taken, 13 * 2 * 14 - 4 * 2 - 3 * 2 * 8);
}

#[test]
fn moves_swaps_and_loads_give_the_same_in_all_bits() {
    let test = "moves_swaps_and_loads_give_the_same_in_all_bits";
    if !require::veth(test) || !require::kernel(6, 6) {
        return;
    }
    stay();
    let mut cases = vec![
        ("neg64", Insn::new(class::ALU64 | alu::NEG, 7, 0, 0, 0)),
        ("neg32", Insn::new(class::ALU | alu::NEG, 7, 0, 0, 0)),
        ("mov32", Insn::new(class::ALU | X | alu::MOV, 7, 8, 0, 0)),
        ("mov32 itself", Insn::new(class::ALU | X | alu::MOV, 7, 7, 0, 0)),
        ("movsx8to64 itself", Insn::new(class::ALU64 | X | alu::MOV, 7, 7, 8, 0)),
    ];
    for bits in [8, 16, 32] {
        cases.push(("movsx64", Insn::new(class::ALU64 | X | alu::MOV, 7, 8, bits, 0)));
    }
    for bits in [8, 16] {
        cases.push(("movsx32", Insn::new(class::ALU | X | alu::MOV, 7, 8, bits, 0)));
    }
    for constant in CONSTANTS {
        cases.push(("mov32 constant", Insn::new(class::ALU | alu::MOV, 7, 0, 0, constant)));
    }
    for bits in [16, 32, 64] {
        cases.push(("le", Insn::new(class::ALU | alu::END, 7, 0, 0, bits)));
        cases.push(("be", Insn::new(class::ALU | X | alu::END, 7, 0, 0, bits)));
        cases.push(("bswap", Insn::new(class::ALU64 | alu::END, 7, 0, 0, bits)));
    }
    for bytes in [size::B, size::H, size::W] {
        cases.push(("signed load", Insn::new(class::LDX | mode::MEMSX | bytes, 7, 6, 0, 0)));
    }
    for bytes in [size::B, size::H, size::W, size::DW] {
        for constant in [0, 1, -1, i32::MIN] {
            let off = FRAME as i16 - 16;
            cases.push(("store", Insn::new(class::ST | mode::MEM | bytes, 6, 0, off, constant)));
        }
    }
    for (name, insn) in cases {
        let name = format!("{name} {insn:?}");
        assert!(check(&name, &[plain(insn)]), "{name} is not taken");
    }
}

#[test]
fn comparisons_go_the_same_way() {
    if !require::veth("comparisons_go_the_same_way") {
        return;
    }
    stay();
    for (_, op) in CONDITIONS {
        for class in [class::JMP, class::JMP32] {
            // The other operand in a register, in the same one, or a constant.
            let mut compares =
                vec![Insn::new(class | X | op, 7, 8, 0, 0), Insn::new(class | X | op, 7, 7, 0, 0)];
            compares.extend(CONSTANTS.map(|constant| Insn::new(class | op, 7, 0, 0, constant)));
            for insn in compares {
                let name = format!("jump {insn:?}");
                // r8 says which way was gone.
                let middle = [
                    (insn, Target::Jump(InstId(3))),
                    plain(asm::mov_imm(8, 5)),
                    plain(asm::add_imm(7, 1)),
                    plain(asm::add_imm(7, 2)),
                ];
                assert!(check(&name, &middle), "{name} is not taken");
                // After what clears the upper half.
                let narrow = Insn::new(class::ALU | X | alu::MOV, 7, 7, 0, 0);
                let other = Insn::new(class::ALU | X | alu::MOV, 8, 8, 0, 0);
                let middle = [
                    plain(narrow),
                    plain(other),
                    (insn, Target::Jump(InstId(4))),
                    plain(asm::mov_imm(8, 5)),
                    plain(asm::add_imm(7, 2)),
                ];
                assert!(check(&name, &middle), "{name} is not taken");
            }
        }
    }
}

#[test]
fn jumps_and_unused_results_stay_what_they_are() {
    if !require::veth("jumps_and_unused_results_stay_what_they_are") || !require::kernel(6, 6) {
        return;
    }
    stay();
    let long = Insn::new(class::JMP32 | jmp::JA, 0, 0, 0, 0);
    let middle = [
        (long, Target::Jump(InstId(3))),
        plain(asm::mov_imm(8, 5)),
        (long, Target::Jump(InstId(4))),
        (long, Target::Jump(InstId(1))),
        plain(asm::add_imm(7, 2)),
    ];
    assert!(check("long jumps", &middle));
    for bytes in [size::W, size::DW] {
        let add = Insn::new(class::STX | mode::ATOMIC | bytes, 10, 7, -8, atomic::FETCH);
        let middle = [
            plain(asm::store64(10, -8, 8)),
            plain(add),
            plain(asm::mov_imm(7, 0)),
            plain(asm::load64(8, 10, -8)),
        ];
        assert!(check("an atomic addition", &middle));
    }
}
