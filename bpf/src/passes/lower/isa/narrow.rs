//! Which registers have a clear upper half.

use super::super::live::{Registers, bit};
use crate::analysis::flow::Graph;
use crate::insn::Insn;
use crate::module::Function;
use crate::opcode::{X, access_bytes, alu, class, mode};

/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;

/// Registers whose upper half is clear before each instruction, on every way.
#[derive(Debug)]
pub(super) struct Narrow {
    before: Vec<Registers>,
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
        Self { before }
    }

    pub(super) fn before(&self, at: usize, register: u8) -> bool {
        self.before[at] & bit(register) != 0
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
