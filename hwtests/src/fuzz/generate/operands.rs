//! Numbers and operations that programs are likely to meet.

use hoist_bpf::opcode::{alu, jmp};

use super::super::Random;
use super::super::model::{Alu, Operand};
use super::Maker;

/// Fields of headers: offset, size, and values as a little-endian load sees them.
pub(super) const FIELDS: [(i16, u8, &[i32]); 12] = [
    (12, 2, &[0x0008, 0x0008, 0xdd86, 0x0081, 0xa888, 0x0608, 0xb588]),
    (14, 1, &[0x45, 0x60, 0x00, 0x46]),
    (23, 1, &[17, 6, 1, 4, 41]),
    (22, 1, &[64, 1, 0]),
    (20, 1, &[17, 58, 6]),
    (16, 2, &[0x0008, 0xdd86, 0x0081]),
    (36, 2, &[0x3500, 0x5000, 0xe803, 0xd007]),
    (34, 2, &[0xa00f, 0xe803]),
    (26, 4, &[0x0200_000a, 0x0100_000a]),
    (0, 1, &[0xff, 1, 2]),
    (6, 4, &[2]),
    (42, 1, &[0, 0x68, 0x61]),
];

const OPERATIONS: [u8; 14] = [
    alu::ADD,
    alu::SUB,
    alu::MUL,
    alu::DIV,
    alu::OR,
    alu::AND,
    alu::LSH,
    alu::RSH,
    alu::NEG,
    alu::MOD,
    alu::XOR,
    alu::MOV,
    alu::ARSH,
    alu::END,
];

const COMPARISONS: [u8; 11] = [
    jmp::JEQ,
    jmp::JGT,
    jmp::JGE,
    jmp::JSET,
    jmp::JNE,
    jmp::JSGT,
    jmp::JSGE,
    jmp::JLT,
    jmp::JLE,
    jmp::JSLT,
    jmp::JSLE,
];

pub(super) fn comparison(random: &mut Random) -> u8 {
    random.pick(&COMPARISONS)
}

impl Maker<'_> {
    pub(super) fn constant(&mut self) -> i32 {
        match self.random.below(4) {
            0 => self.random.between(0, 16),
            1 => self.random.between(-4, 4),
            2 => self.random.pick(&[0x0008, 0x0081, 0xff, 0x100, 0x7fff_ffff, i32::MIN, 1500]),
            _ => self.random.word() as i32,
        }
    }

    pub(super) fn arithmetic(&mut self) -> Alu {
        if self.limits.cards && self.random.chance(40) {
            return self.version_4();
        }
        let (op, dst) = (self.random.pick(&OPERATIONS), self.var());
        let wide = self.random.chance(60);
        let src = match op {
            // The verifier refuses what is never defined: constant shifts beyond the register,
            // constant divisions by 0.
            alu::LSH | alu::RSH | alu::ARSH => {
                Operand::Imm(self.random.between(0, if wide { 63 } else { 31 }))
            }
            alu::DIV | alu::MOD if self.random.chance(50) => Operand::Var(self.var()),
            alu::DIV | alu::MOD => Operand::Imm(self.random.between(1, 1000)),
            alu::END => Operand::Imm(self.random.pick(&[16, 32, 64])),
            alu::NEG => Operand::Imm(0),
            _ => self.operand(),
        };
        Alu { op, wide, dst, src, off: 0 }
    }

    /// What version 4 of the instruction set adds.
    fn version_4(&mut self) -> Alu {
        let (dst, wide) = (self.var(), self.random.chance(60));
        let (op, off, src) = match self.random.below(4) {
            0 => {
                let bits =
                    if wide { self.random.pick(&[8, 16, 32]) } else { self.random.pick(&[8, 16]) };
                (alu::MOV, bits, Operand::Var(self.var()))
            }
            1 => (alu::END, 1, Operand::Imm(self.random.pick(&[16, 32, 64]))),
            _ => {
                let op = self.random.pick(&[alu::DIV, alu::MOD]);
                let constant = self.random.chance(50);
                let (value, var) = (self.constant() | 1, self.var());
                (op, 1, if constant { Operand::Imm(value) } else { Operand::Var(var) })
            }
        };
        Alu { op, wide, dst, src, off }
    }
}
