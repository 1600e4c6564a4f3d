//! Instructions of the first version, by name, that only lowering writes.

use crate::insn::Insn;
use crate::opcode::{X, alu, class, jmp, mode, size};

pub(super) use crate::passes::asm::{
    add_imm, exit, goto, helper, jump_imm, load_map, load64, mov, mov_imm, store64,
};

/// 64-bit arithmetic with a register.
pub(super) const fn reg(op: u8, dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | op, dst, src, 0, 0)
}

/// 64-bit arithmetic with a constant.
pub(super) const fn imm(op: u8, dst: u8, imm: i32) -> Insn {
    Insn::new(class::ALU64 | op, dst, 0, 0, imm)
}

/// `dst = -dst`.
pub(super) const fn neg(dst: u8) -> Insn {
    Insn::new(class::ALU64 | alu::NEG, dst, 0, 0, 0)
}

/// `if dst <op> src goto`.
pub(super) const fn jump_reg(op: u8, dst: u8, src: u8) -> Insn {
    Insn::new(class::JMP | X | op, dst, src, 0, 0)
}

/// `*(size *)(dst + off) += src`, atomically; `size` is that of `opcode::size`.
pub(super) const fn atomic_add(size: u8, dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::ATOMIC | size, dst, src, off, 0)
}

/// First slot of a wide load of a constant; the upper half is the second slot's.
pub(super) const fn wide(dst: u8, low: i32) -> Insn {
    Insn::new(class::LD | mode::IMM | size::DW, dst, 0, 0, low)
}

/// Clears the upper half of a register.
pub(super) const fn zero_extend(dst: u8) -> [Insn; 2] {
    [imm(alu::LSH, dst, 32), imm(alu::RSH, dst, 32)]
}

/// Copies the bit at `bits - 1` of a register into all above it.
pub(super) const fn sign_extend(dst: u8, bits: i32) -> [Insn; 2] {
    [imm(alu::LSH, dst, 64 - bits), imm(alu::ARSH, dst, 64 - bits)]
}

/// The same comparison with its sides exchanged.
pub(super) const fn mirrored(op: u8) -> u8 {
    match op {
        jmp::JGT => jmp::JLT,
        jmp::JLT => jmp::JGT,
        jmp::JGE => jmp::JLE,
        jmp::JLE => jmp::JGE,
        jmp::JSGT => jmp::JSLT,
        jmp::JSLT => jmp::JSGT,
        jmp::JSGE => jmp::JSLE,
        jmp::JSLE => jmp::JSGE,
        other => other,
    }
}
