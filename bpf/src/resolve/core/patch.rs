//! Writes a relocation's answer into its instruction.

use std::collections::HashSet;

use super::value::Answer;
use crate::insn::Insn;
use crate::module::{Function, Inst, InstId, Target};

/// The call that stands for an instruction without an answer; the verifier names the number if it
/// can be reached ("invalid func unknown#195896080", 0xbad2310).
const POISON: Insn = Insn::new(0x85, 0, 0, 0, 195_896_080);

/// What became of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Patched,
    Poisoned,
    /// A wide instruction was poisoned and left its second slot empty.
    PoisonedWide,
}

pub(super) fn apply(inst: &mut Inst, answer: &Answer) -> Result<Fate, String> {
    if answer.poison {
        return Ok(poison(inst));
    }
    let differs = |found: u64| answer.expected.is_some_and(|expected| expected != found);
    let unexpected = |found: u64| {
        Err(format!("the instruction holds {found}, not {}", answer.expected.unwrap_or_default()))
    };
    let insn = &mut inst.insn;
    match insn.class() {
        // ALU and ALU64 with an immediate.
        0x04 | 0x07 if insn.code & 0x08 == 0 => {
            let found = i64::from(insn.imm) as u64;
            if differs(found) {
                return unexpected(found);
            }
            insn.imm = answer.new as i32;
        }
        // LDX, ST and STX.
        0x01..=0x03 => {
            let found = i64::from(insn.off) as u64;
            if differs(found) {
                return unexpected(found);
            }
            let off = i16::try_from(answer.new)
                .map_err(|_| format!("offset {} does not fit 16 bits", answer.new))?;
            if answer.size_is_fixed {
                return Ok(poison(inst));
            }
            insn.off = off;
            resize(insn, answer)?;
        }
        0x00 if insn.is_wide() => {
            let plain = insn.src() == 0 && insn.off == 0 && inst.target == Target::None;
            let second =
                inst.wide_imm.filter(|_| plain).ok_or("the 64-bit load refers elsewhere")?;
            let found = u64::from(insn.imm as u32) | (i64::from(second) as u64) << 32;
            if differs(found) {
                return unexpected(found);
            }
            insn.imm = answer.new as i32;
            inst.wide_imm = Some((answer.new >> 32) as i32);
        }
        _ => return Err(format!("instruction code {:#04x} cannot be relocated", insn.code)),
    }
    Ok(Fate::Patched)
}

fn poison(inst: &mut Inst) -> Fate {
    let wide = inst.wide_imm.take().is_some();
    inst.insn = POISON;
    inst.target = Target::None;
    if wide { Fate::PoisonedWide } else { Fate::Poisoned }
}

/// Bytes a load or store accesses, by the size bits of its code.
const SIZES: [(u8, u32); 4] = [(0x18, 8), (0x00, 4), (0x08, 2), (0x10, 1)];

fn resize(insn: &mut Insn, answer: &Answer) -> Result<(), String> {
    if answer.old_size == answer.new_size {
        return Ok(());
    }
    let size = SIZES.iter().find(|(bits, _)| *bits == insn.code & 0x18).map_or(0, |(_, n)| *n);
    if size != answer.old_size {
        return Err(format!("it accesses {size} bytes of a field of {}", answer.old_size));
    }
    let bits = SIZES.iter().find(|(_, n)| *n == answer.new_size).map(|(bits, _)| *bits);
    let bits = bits.ok_or_else(|| format!("no access has {} bytes", answer.new_size))?;
    insn.code = (insn.code & !0x18) | bits;
    Ok(())
}

/// Keeps the slots behind poisoned wide instructions where they were, as libbpf does.
pub(super) fn fill_second_slots(function: &mut Function, poisoned: &HashSet<InstId>) {
    let mut code = Vec::with_capacity(function.code.len() + poisoned.len());
    for inst in &function.code {
        code.push(*inst);
        if poisoned.contains(&inst.id) {
            let id = InstId(function.next_id);
            function.next_id += 1;
            code.push(Inst { id, origin: inst.origin.map(|slot| slot + 1), ..*inst });
        }
    }
    function.code = code;
}
