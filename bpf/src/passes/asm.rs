//! Instructions by name, for passes that write code.

use crate::insn::Insn;
use crate::opcode::{X, alu, class, jmp, mode, pseudo, size};

/// `dst = src`, 64 bits.
#[must_use]
pub const fn mov(dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | alu::MOV, dst, src, 0, 0)
}

/// `dst = src`, 32 bits, upper half cleared.
#[must_use]
pub const fn mov32(dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU | X | alu::MOV, dst, src, 0, 0)
}

/// `dst = imm`, 64 bits.
#[must_use]
pub const fn mov_imm(dst: u8, imm: i32) -> Insn {
    Insn::new(class::ALU64 | alu::MOV, dst, 0, 0, imm)
}

/// `dst += src`, 64 bits.
#[must_use]
pub const fn add(dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | alu::ADD, dst, src, 0, 0)
}

/// `dst += imm`, 64 bits.
#[must_use]
pub const fn add_imm(dst: u8, imm: i32) -> Insn {
    Insn::new(class::ALU64 | alu::ADD, dst, 0, 0, imm)
}

/// `dst -= src`, 64 bits.
#[must_use]
pub const fn sub(dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | alu::SUB, dst, src, 0, 0)
}

/// `dst = *(u32 *)(src + off)`.
#[must_use]
pub const fn load32(dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::LDX | mode::MEM | size::W, dst, src, off, 0)
}

/// `dst = *(u64 *)(src + off)`.
#[must_use]
pub const fn load64(dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::LDX | mode::MEM | size::DW, dst, src, off, 0)
}

/// `*(u64 *)(dst + off) = src`.
#[must_use]
pub const fn store64(dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::MEM | size::DW, dst, src, off, 0)
}

/// `lock *(u64 *)(dst + off) += src`, without the old value (instruction set 1).
#[must_use]
pub const fn atomic_add64(dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::ATOMIC | size::DW, dst, src, off, 0)
}

/// `*(u32 *)(dst + off) = src`.
#[must_use]
pub const fn store32(dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::MEM | size::W, dst, src, off, 0)
}

/// `if dst <op> imm goto target`, 64 bits; the target is given beside the instruction.
#[must_use]
pub const fn jump_imm(op: u8, dst: u8, imm: i32) -> Insn {
    Insn::new(class::JMP | op, dst, 0, 0, imm)
}

/// Call of a helper by number.
#[must_use]
pub const fn helper(id: i32) -> Insn {
    Insn::new(class::JMP | jmp::CALL, 0, pseudo::HELPER_CALL, 0, id)
}

/// Call of a subprogram; the function is given beside the instruction.
#[must_use]
pub const fn call() -> Insn {
    Insn::new(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, -1)
}

/// First slot of a wide load of a map; the map is given beside the instruction.
#[must_use]
pub const fn load_map(dst: u8) -> Insn {
    Insn::new(class::LD | mode::IMM | size::DW, dst, pseudo::MAP_FD, 0, 0)
}

/// `exit`.
#[must_use]
pub const fn exit() -> Insn {
    Insn::new(class::JMP | jmp::EXIT, 0, 0, 0, 0)
}

/// `if dst == src goto target`, 64 bits; the target is given beside the instruction.
#[must_use]
pub const fn jump_equal(dst: u8, src: u8) -> Insn {
    Insn::new(class::JMP | X | jmp::JEQ, dst, src, 0, 0)
}

/// `goto target`; the target is given beside the instruction.
#[must_use]
pub const fn goto() -> Insn {
    Insn::new(class::JMP | jmp::JA, 0, 0, 0, 0)
}

/// `dst = htobe32(dst)`, upper half cleared.
#[must_use]
pub const fn big_endian32(dst: u8) -> Insn {
    Insn::new(class::ALU | X | alu::END, dst, 0, 0, 32)
}

/// Two instructions that leave the lower half of a register as it is, and the verifier without an
/// idea of what it holds.
///
/// A tail call from a subprogram returns what its target returns. Until Linux 6.19 (and 6.18.y with
/// the fix "bpf: properly verify tail call behavior") the verifier thinks that it never succeeds: where
/// the subprogram returns a constant after it, branches on the result that this constant does not
/// take are removed as dead (`opt_hard_wire_dead_code_branches`), bounds checks among them. No
/// verifier before that fix follows a value through a byte swap.
#[must_use]
pub const fn forget(dst: u8) -> [Insn; 2] {
    [big_endian32(dst), big_endian32(dst)]
}
