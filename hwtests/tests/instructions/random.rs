//! Programs of random instructions, forward jumps included.

use hoist_bpf::module::{InstId, Target};
use hoist_bpf::opcode::{X, alu, atomic, class, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_hwtests::fuzz::Random;
use hoist_hwtests::instructions::{
    CONDITIONS, CONSTANTS, CORNERS, Line, OPERATIONS, module, plain, prologue,
};
use hoist_hwtests::require;

use crate::sides::{Both, SIZES, ldx, operand, pass, result, stx};

/// Programs.
const PROGRAMS: u64 = 400;
/// Runs of each.
const RUNS: u32 = 40;

/// What holds numbers: `r6` is the frame, `r10` the stack.
const REGISTERS: [u8; 9] = [0, 1, 2, 3, 4, 5, 7, 8, 9];

fn number(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.word(),
        1 => random.word() >> random.below(64),
        _ => random.pick(&CORNERS),
    }
}

fn constant(random: &mut Random) -> i32 {
    if random.chance(50) { random.pick(&CONSTANTS) } else { random.word() as i32 }
}

/// One instruction that is not a jump.
fn step(random: &mut Random) -> Insn {
    let (dst, src) = (random.pick(&REGISTERS), random.pick(&REGISTERS));
    let class = random.pick(&[class::ALU, class::ALU64]);
    let (bytes_code, bytes) = random.pick(&SIZES);
    // A place on the stack, aligned.
    let slot = -64 + bytes * random.below(64 / bytes as u32) as i16;
    match random.below(12) {
        0..=3 => {
            let (_, op, off) = random.pick(&OPERATIONS);
            Insn::new(class | X | op, dst, src, off, 0)
        }
        4 | 5 => {
            let (_, op, off) = random.pick(&OPERATIONS);
            let imm = match op {
                alu::LSH | alu::RSH | alu::ARSH if class == class::ALU => random.between(0, 31),
                alu::LSH | alu::RSH | alu::ARSH => random.between(0, 63),
                alu::DIV | alu::MOD => constant(random) | 1,
                _ => constant(random),
            };
            Insn::new(class | op, dst, 0, off, imm)
        }
        6 => {
            let off = match class {
                class::ALU => random.pick(&[0, 8, 16]),
                _ => random.pick(&[0, 8, 16, 32]),
            };
            Insn::new(class | X | alu::MOV, dst, src, off, 0)
        }
        7 => match random.below(4) {
            0 => Insn::new(class | alu::NEG, dst, 0, 0, 0),
            1 => Insn::new(class::ALU | X | alu::END, dst, 0, 0, random.pick(&[16, 32, 64])),
            _ => Insn::new(class | alu::END, dst, 0, 0, random.pick(&[16, 32, 64])),
        },
        8 => {
            let signed = bytes_code != size::DW && random.chance(50);
            let mode = if signed { mode::MEMSX } else { mode::MEM };
            ldx(mode, bytes_code, dst, 10, slot)
        }
        9 => stx(bytes_code, 10, src, slot),
        10 => {
            let off = random.below(64 - bytes as u32) as i16;
            ldx(mode::MEM, bytes_code, dst, 6, off)
        }
        _ => {
            let size = random.pick(&[size::W, size::DW]);
            let bytes = if size == size::W { 4 } else { 8 };
            let off = -64 + bytes * random.below(64 / bytes as u32) as i16;
            let op = random.pick(&[0, 0x40, 0x50, 0xa0]) | random.pick(&[0, atomic::FETCH]);
            let op = random.pick(&[op, op, op, atomic::XCHG, atomic::CMPXCHG]);
            Insn::new(class::STX | mode::ATOMIC | size, 10, src, off, op)
        }
    }
}

fn branch(random: &mut Random) -> Insn {
    let (dst, src) = (random.pick(&REGISTERS), random.pick(&REGISTERS));
    let class = random.pick(&[class::JMP, class::JMP32]);
    let (_, op) = random.pick(&CONDITIONS);
    if random.chance(50) {
        Insn::new(class | X | op, dst, src, 0, 0)
    } else {
        Insn::new(class | op, dst, 0, 0, constant(random))
    }
}

fn program(random: &mut Random) -> Vec<Line> {
    let mut code = prologue();
    code.extend((0..8).flat_map(|n| [operand(7, n), plain(asm::store64(10, 8 * n - 64, 7))]));
    code.extend(REGISTERS.iter().zip(0..).map(|(r, n)| operand(*r, n % 8)));
    let steps = 10 + random.below(50);
    let first = code.len() as u32;
    for at in 0..steps {
        // Few, for the verifier follows every path.
        if at + 1 < steps && random.chance(10) {
            let to = first + at + 1 + random.below(steps - at - 1) + 1;
            code.push((branch(random), Target::Jump(InstId(to))));
        } else {
            code.push(plain(step(random)));
        }
    }
    code.extend(REGISTERS.iter().zip(0..).map(|(r, n)| result(n, *r)));
    code.extend((0..7).flat_map(|n| [plain(asm::load64(7, 10, 8 * n - 64)), result(9 + n, 7)]));
    code.extend(pass());
    code
}

#[test]
fn random_programs_do_what_the_kernel_does() {
    if !require::veth("random_programs_do_what_the_kernel_does") {
        return;
    }
    let mut refused = Vec::new();
    for seed in 0..PROGRAMS {
        let mut random = Random::new(seed, 4);
        let code = program(&mut random);
        match Both::try_load(&format!("seed {seed}"), module(vec![code])) {
            Ok(mut both) => {
                for _ in 0..RUNS {
                    let operands: Vec<u64> = (0..8).map(|_| number(&mut random)).collect();
                    both.agree(&operands);
                }
            }
            Err(why) => refused.push((seed, why)),
        }
    }
    let share = refused.len() as u64 * 100 / PROGRAMS;
    assert!(share <= 5, "{share} of 100 refused: {:?}", refused.first());
}
