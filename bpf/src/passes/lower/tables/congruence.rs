//! The lowest bits of registers: what an index was multiplied by tells which offsets it cannot reach.

use crate::analysis::flow::Graph;
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, Module, Target};
use crate::opcode::{X, alu, class};

/// Bits that are followed.
const MOST: u32 = 16;

/// The lowest `bits` bits of a number are those of `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Low {
    bits: u32,
    low: u64,
}

impl Low {
    const ANY: Self = Self { bits: 0, low: 0 };

    fn new(bits: u32, low: u64) -> Self {
        let bits = bits.min(MOST);
        Self { bits, low: low & ((1 << bits) - 1) }
    }

    fn exactly(value: u64) -> Self {
        Self::new(MOST, value)
    }

    fn join(self, other: Self) -> Self {
        let same = (self.low ^ other.low).trailing_zeros();
        Self::new(self.bits.min(other.bits).min(same), self.low)
    }

    /// A number plus a constant.
    pub(super) fn plus(self, by: i64) -> Self {
        Self::new(self.bits, self.low.wrapping_add(by as u64))
    }

    /// The distance between numbers like this one.
    pub(super) const fn step(self) -> u64 {
        1 << self.bits
    }

    /// The first number like this one that is not less than `least`.
    pub(super) const fn first_from(self, least: u64) -> u64 {
        let step = self.step();
        least + (self.low + step - least % step) % step
    }

    fn computed(op: u8, x: Self, y: Self, constant: Option<u64>) -> Self {
        let both = x.bits.min(y.bits);
        match (op, constant) {
            (alu::MOV, _) => y,
            (alu::ADD, _) => Self::new(both, x.low.wrapping_add(y.low)),
            (alu::SUB, _) => Self::new(both, x.low.wrapping_sub(y.low)),
            (alu::LSH, Some(by)) if by < 32 => Self::new(x.bits + by as u32, x.low << by),
            (alu::MUL, Some(by)) if by != 0 => {
                Self::new(x.bits + by.trailing_zeros(), x.low.wrapping_mul(by))
            }
            (alu::AND, Some(mask)) => {
                // A bit is known where it was, and where the mask clears it.
                let known = ((1_u64 << x.bits) - 1) | !mask;
                Self::new(known.trailing_ones(), x.low & mask)
            }
            _ => Self::ANY,
        }
    }
}

type Registers = [Low; 11];

/// What is known of the register that each load goes through; nothing where none is.
pub(super) fn of(module: &Module, id: FunctionId) -> Vec<Low> {
    let function = module.function(id);
    let graph = Graph::of(function);
    let mut found = vec![Low::ANY; function.code.len()];
    let mut at_start: Vec<Option<Registers>> = vec![None; graph.blocks.len()];
    let mut work = vec![0_u32];
    if let Some(entry) = at_start.first_mut() {
        *entry = Some([Low::ANY; 11]);
    }
    while let Some(index) = work.pop() {
        let Some(block) = graph.blocks.get(index as usize) else { continue };
        let mut now = at_start[index as usize].unwrap_or([Low::ANY; 11]);
        let range = block.start as usize..block.end as usize;
        for (inst, found) in function.code[range.clone()].iter().zip(&mut found[range]) {
            if inst.insn.class() == class::LDX {
                *found = now.get(usize::from(inst.insn.src())).copied().unwrap_or(Low::ANY);
            }
            step(&mut now, inst);
        }
        for to in [block.next, block.jump].into_iter().flatten() {
            let there = &mut at_start[to as usize];
            let joined = match there {
                Some(known) => std::array::from_fn(|r| known[r].join(now[r])),
                None => now,
            };
            if *there != Some(joined) {
                *there = Some(joined);
                work.push(to);
            }
        }
    }
    found
}

fn step(registers: &mut Registers, inst: &Inst) {
    let insn = inst.insn;
    if insn.is_call() {
        registers[..6].fill(Low::ANY);
        return;
    }
    let value = match insn.class() {
        class::ALU | class::ALU64 if insn.off == 0 => computed(registers, insn),
        class::LD if insn.is_wide() => match inst.target {
            Target::MapValue { offset, .. } => Low::exactly(offset.into()),
            Target::None => Low::exactly(insn.imm as u32 as u64),
            _ => Low::ANY,
        },
        _ => Low::ANY,
    };
    for register in 0..11 {
        if super::super::live::written(insn) & super::super::live::bit(register) != 0 {
            registers[usize::from(register)] = value;
        }
    }
}

fn computed(registers: &Registers, insn: Insn) -> Low {
    let value = |register: u8| registers.get(usize::from(register)).copied().unwrap_or(Low::ANY);
    let constant = (insn.code & X == 0).then_some(insn.imm as i64 as u64);
    let right = constant.map_or_else(|| value(insn.src()), Low::exactly);
    Low::computed(insn.code & 0xf0, value(insn.dst()), right, constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numbers_have_in_common_is_kept_and_no_more() {
        let multiple = Low::computed(alu::LSH, Low::ANY, Low::exactly(3), Some(3));
        assert_eq!((multiple.step(), multiple.first_from(1)), (8, 8));
        let sum = Low::computed(alu::ADD, multiple, Low::exactly(20), None);
        assert_eq!((sum.step(), sum.first_from(0), sum.first_from(13)), (8, 4, 20));
        assert_eq!(sum.join(multiple), Low::new(2, 0));
        let masked = Low::computed(alu::AND, Low::ANY, Low::exactly(0x1c), Some(0x1c));
        assert_eq!((masked.step(), masked.first_from(5)), (4, 8));
        let times = Low::computed(alu::MUL, Low::ANY, Low::exactly(12), Some(12));
        assert_eq!(times.step(), 4);
        assert_eq!(Low::computed(alu::RSH, multiple, multiple, Some(1)), Low::ANY);
    }
}
