//! Which instruction set version an instruction belongs to, as clang's `-mcpu` counts.

use crate::insn::Insn;
use crate::opcode::{X, alu, atomic, class, jmp, mode};

/// The least version that has the instruction: 1 to 4.
pub(crate) fn version(insn: Insn) -> u8 {
    let op = insn.code & 0xf0;
    match insn.class() {
        class::ALU if op == alu::END => 1,
        class::ALU | class::ALU64 if insn.off != 0 => 4,
        class::ALU64 if op == alu::END => 4,
        class::ALU => 3,
        class::JMP32 if op == jmp::JA => 4,
        class::JMP if op == jmp::JCOND => 4,
        class::JMP32 => 3,
        class::JMP => match op {
            jmp::JLT | jmp::JLE | jmp::JSLT | jmp::JSLE => 2,
            // An indirect jump.
            jmp::JA if insn.code & X != 0 => 4,
            _ => 1,
        },
        class::LDX if insn.code & 0xe0 == mode::MEMSX => 4,
        class::STX if insn.code & 0xe0 == mode::ATOMIC => match insn.imm {
            0 => 1,
            atomic::LOAD_ACQUIRE | atomic::STORE_RELEASE => 4,
            _ => 3,
        },
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::size;

    #[test]
    fn each_version_adds_its_instructions() {
        for (code, off, imm, expected) in [
            (class::ALU64 | alu::ADD, 0, 1, 1),
            (class::ALU | alu::END, 0, 16, 1),
            (class::JMP | jmp::JGT, 1, 0, 1),
            (class::STX | mode::ATOMIC | size::DW, 0, 0, 1),
            (class::JMP | jmp::JLT, 1, 0, 2),
            (class::JMP | jmp::JSLE | X, 1, 0, 2),
            (class::ALU | alu::MOV, 0, 0, 3),
            (class::JMP32 | jmp::JEQ, 1, 0, 3),
            (class::STX | mode::ATOMIC | size::W, 0, atomic::XCHG, 3),
            (class::ALU64 | alu::END, 0, 16, 4),
            (class::ALU64 | alu::DIV, 1, 3, 4),
            (class::ALU64 | X | alu::MOV, 8, 0, 4),
            (class::LDX | mode::MEMSX | size::B, 0, 0, 4),
            (class::JMP32 | jmp::JA, 0, 1 << 20, 4),
            (class::STX | mode::ATOMIC | size::DW, 0, atomic::LOAD_ACQUIRE, 4),
        ] {
            assert_eq!(version(Insn::new(code, 1, 2, off, imm)), expected, "{code:#x} {off} {imm}");
        }
    }
}
