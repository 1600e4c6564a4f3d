//! Which registers are dereferenced later, for pointers that a call invalidates.

use super::flow::Graph;
use crate::module::{Function, Inst};
use crate::opcode::{X, alu, class, jmp};

/// Registers that calls destroy.
const SCRATCH: u16 = 0b11_1111;

/// For each instruction, the registers that are dereferenced after it on some way with what they
/// hold there, something added or not: a bit for each number.
pub(super) fn used(function: &Function) -> Vec<u16> {
    let graph = Graph::of(function);
    let mut at_start = vec![0_u16; graph.blocks.len()];
    let end = |at_start: &[u16], index: usize| {
        let block = &graph.blocks[index];
        [block.next, block.jump]
            .into_iter()
            .flatten()
            .fold(0, |all, to| all | at_start[to as usize])
    };
    // Backwards until nothing changes: registers are only ever added, ten in each block.
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..graph.blocks.len()).rev() {
            let block = graph.blocks[index];
            let code = &function.code[block.start as usize..block.end as usize];
            let before = code.iter().rev().fold(end(&at_start, index), before);
            changed |= before != at_start[index];
            at_start[index] = before;
        }
    }
    let mut used = vec![0; function.code.len()];
    for (index, block) in graph.blocks.iter().enumerate() {
        let mut after = end(&at_start, index);
        for at in (block.start as usize..block.end as usize).rev() {
            used[at] = after;
            after = before(after, &function.code[at]);
        }
    }
    used
}

/// The registers dereferenced from before an instruction on.
fn before(after: u16, inst: &Inst) -> u16 {
    let bit = |register: u8| 1_u16.checked_shl(u32::from(register)).unwrap_or_default();
    let insn = inst.insn;
    let (dst, src) = (bit(insn.dst()), bit(insn.src()));
    match insn.class() {
        class::LDX => after & !dst | src,
        class::ST | class::STX => after | dst,
        class::LD => after & !dst,
        class::ALU64 if insn.code == class::ALU64 | X | alu::MOV && insn.off == 0 => {
            if after & dst == 0 { after } else { after & !dst | src }
        }
        class::ALU64 if matches!(insn.code & 0xf0, alu::ADD | alu::SUB) => after,
        class::ALU | class::ALU64 => after & !dst,
        class::JMP if insn.code & 0xf0 == jmp::CALL => after & !SCRATCH,
        _ => after,
    }
}
