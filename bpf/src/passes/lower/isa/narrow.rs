//! Which registers have a clear upper half, and of which it does not matter.

use super::super::live::{Registers, bit, reads_src};
use crate::analysis::flow::Graph;
use crate::insn::Insn;
use crate::module::Function;
use crate::opcode::{X, access_bytes, alu, class, jmp, mode};

/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;

/// What is known of upper halves.
#[derive(Debug)]
pub(super) struct Narrow {
    /// Registers whose upper half is clear before each instruction, on every way.
    before: Vec<Registers>,
    /// Registers whose upper half is read after each instruction on some way.
    read: Vec<Registers>,
}

impl Narrow {
    pub(super) fn of(function: &Function) -> Self {
        let graph = Graph::of(function);
        let mut at_start: Vec<Option<Registers>> = vec![None; graph.blocks.len()];
        let mut before = vec![0; function.code.len()];
        let mut work = vec![0_u32];
        match at_start.first_mut() {
            Some(entry) => *entry = Some(0),
            None => work.clear(),
        }
        while let Some(index) = work.pop() {
            let block = graph.blocks[index as usize];
            let mut clear = at_start[index as usize].unwrap_or_default();
            let range = block.start as usize..block.end as usize;
            for (inst, before) in function.code[range.clone()].iter().zip(&mut before[range]) {
                *before = clear;
                clear = after(clear, inst.insn);
            }
            for to in [block.next, block.jump].into_iter().flatten() {
                let there = &mut at_start[to as usize];
                let joined = there.unwrap_or(Registers::MAX) & clear;
                if *there != Some(joined) {
                    *there = Some(joined);
                    work.push(to);
                }
            }
        }
        Self { before, read: read(function, &graph) }
    }

    /// Whether a register's upper half does not matter after an instruction.
    pub(super) fn unread(&self, at: usize, register: u8) -> bool {
        self.read[at] & bit(register) == 0
    }

    pub(super) fn before(&self, at: usize, register: u8) -> bool {
        self.before[at] & bit(register) != 0
    }
}

/// Upper halves that are read after each instruction: those of operands of 64-bit instructions, of
/// addresses, of arguments and results.
fn read(function: &Function, graph: &Graph) -> Vec<Registers> {
    let mut at_start = vec![0; graph.blocks.len()];
    let end = |at_start: &[Registers], index: usize| {
        let block = &graph.blocks[index];
        let ways = [block.next, block.jump].into_iter().flatten();
        ways.fold(0, |all, to| all | at_start[to as usize])
    };
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..graph.blocks.len()).rev() {
            let block = graph.blocks[index];
            let code = &function.code[block.start as usize..block.end as usize];
            let start = code.iter().rev().fold(end(&at_start, index), |r, i| reads(r, i.insn));
            changed |= start != at_start[index];
            at_start[index] = start;
        }
    }
    let mut read = vec![0; function.code.len()];
    for (index, block) in graph.blocks.iter().enumerate() {
        let mut after = end(&at_start, index);
        for at in (block.start as usize..block.end as usize).rev() {
            read[at] = after;
            after = reads(after, function.code[at].insn);
        }
    }
    read
}

/// Upper halves that are read from before an instruction on.
fn reads(after: Registers, insn: Insn) -> Registers {
    let dst = bit(insn.dst());
    let src = if reads_src(insn) { bit(insn.src()) } else { 0 };
    match insn.class() {
        // What writes a lower half clears the upper one, and reads lower halves.
        class::ALU if insn.code & 0xf0 == alu::END && insn.imm == 64 => after | dst,
        class::ALU => after & !dst,
        class::ALU64 if insn.code & 0xf0 == alu::MOV && after & dst == 0 => after,
        class::ALU64 if insn.code & 0xf0 == alu::MOV => after & !dst | src,
        class::ALU64 => after | dst | src,
        class::LDX => after & !dst | src,
        class::LD if insn.is_wide() => after & !dst,
        class::ST => after | dst,
        class::STX if insn.code & 0xe0 == mode::MEM && access_bytes(insn.code) < 8 => after | dst,
        class::STX => after | dst | src | bit(0),
        class::JMP32 => after,
        class::JMP if insn.is_call() => after & !SCRATCH | SCRATCH & !bit(0),
        class::JMP if insn.code & 0xf0 == jmp::EXIT => bit(0),
        class::JMP => after | dst | src,
        _ => Registers::MAX,
    }
}

fn after(clear: Registers, insn: Insn) -> Registers {
    let (dst, src) = (bit(insn.dst()), bit(insn.src()));
    let constant = insn.code & X == 0;
    let clears = match insn.class() {
        class::ALU if insn.code & 0xf0 == alu::END => insn.imm < 64,
        class::ALU => true,
        class::LDX => access_bytes(insn.code) < 8 && insn.code & 0xe0 == mode::MEM,
        class::ALU64 => match insn.code & 0xf0 {
            alu::MOV if constant => insn.imm >= 0,
            alu::MOV => insn.off == 0 && clear & src != 0,
            alu::AND if constant => insn.imm >= 0 || clear & dst != 0,
            alu::AND => clear & (src | dst) != 0,
            alu::RSH if constant => insn.imm >= 32 || clear & dst != 0,
            alu::DIV | alu::MOD => insn.off == 0 && clear & dst != 0,
            _ => false,
        },
        class::STX if insn.code & 0xe0 == mode::ATOMIC => return clear & !(src | bit(0)),
        class::LD => return clear & !dst & !bit(0),
        class::JMP if insn.is_call() => return clear & !SCRATCH,
        _ => return clear,
    };
    if clears { clear | dst } else { clear & !dst }
}
