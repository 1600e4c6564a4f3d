//! Jumps: 32-bit comparisons by 64-bit ones, "less" by "greater", long jumps by short ones.

use super::super::asm::{self, imm, mov, reg, sign_extend, zero_extend};
use super::super::edit::Code;
use super::super::target::Target;
use super::Scratch;
use super::narrow::Narrow;
use crate::insn::Insn;
use crate::module::{Inst, Target as Reference};
use crate::opcode::{X, alu, class, jmp};

pub(super) fn expand(
    target: &Target,
    inst: &Inst,
    at: usize,
    narrow: &Narrow,
    scratch: &mut Scratch,
    code: &mut Code<'_>,
) -> Option<()> {
    let insn = inst.insn;
    let op = insn.code & 0xf0;
    match (insn.class(), op) {
        (class::JMP32, jmp::JA) if insn.code & X == 0 => code.refer(asm::goto(), inst.target),
        (_, jmp::JA | jmp::JCOND) => return None,
        (class::JMP32, _) => half(inst, at, narrow, scratch, code),
        (_, jmp::JLT | jmp::JLE | jmp::JSLT | jmp::JSLE) if target.isa < 2 => less(inst, code),
        _ => return None,
    }
    Some(())
}

/// `if a < b goto`, for which the first version has `if b > a goto`, and of a constant the opposite
/// around a jump.
fn less(inst: &Inst, code: &mut Code<'_>) {
    let insn = inst.insn;
    let op = insn.code & 0xf0;
    if insn.code & X != 0 {
        let mirrored = asm::jump_reg(asm::mirrored(op), insn.src(), insn.dst());
        return code.refer(mirrored, inst.target);
    }
    let past = code.label();
    // Each of these four has an opposite.
    let opposite = jmp::opposite(op).unwrap_or(op);
    code.refer(asm::jump_imm(opposite, insn.dst(), insn.imm), Reference::Jump(past));
    code.refer(asm::goto(), inst.target);
    code.place(past, mov(insn.dst(), insn.dst()), Reference::None);
}

/// A comparison of lower halves.
fn half(inst: &Inst, at: usize, narrow: &Narrow, scratch: &mut Scratch, code: &mut Code<'_>) {
    let insn = inst.insn;
    let (op, constant) = (insn.code & 0xf0, insn.code & X == 0);
    let signed = matches!(op, jmp::JSGT | jmp::JSGE | jmp::JSLT | jmp::JSLE);
    let known = |register| narrow.before(at, register);
    // Where the upper halves are known to be clear, the whole registers compare alike, and what the
    // verifier learns of them is not lost.
    if !signed && known(insn.dst()) && (constant && insn.imm >= 0 || !constant && known(insn.src()))
    {
        return code.refer(Insn { code: class::JMP | insn.code & 0xf8, ..insn }, inst.target);
    }
    // Where they do not matter they can be cleared, which the verifier then knows too.
    let free = |register| known(register) || narrow.unread(at, register);
    if !signed && free(insn.dst()) && (constant && insn.imm >= 0 || !constant && free(insn.src())) {
        let operands = [insn.dst(), if constant { insn.dst() } else { insn.src() }];
        for (number, register) in operands.into_iter().enumerate() {
            if !known(register) && (number == 0 || register != insn.dst()) {
                code.puts(zero_extend(register));
            }
        }
        return code.refer(Insn { code: class::JMP | insn.code & 0xf8, ..insn }, inst.target);
    }
    let extend = |register: u8, code: &mut Code<'_>| match signed {
        true => code.puts(sign_extend(register, 32)),
        false => code.puts(zero_extend(register)),
    };
    let registers: [u8; 2] = scratch.take(code);
    let [left, right] = registers;
    code.put(mov(left, insn.dst()));
    extend(left, code);
    if constant {
        let value = if signed { insn.imm as i64 as u64 } else { u64::from(insn.imm as u32) };
        code.constant(right, value);
    } else {
        code.put(mov(right, insn.src()));
        extend(right, code);
    }
    let (op, right) = match op {
        jmp::JSET => {
            code.puts([reg(alu::AND, left, right), imm(alu::MOV, right, 0)]);
            (jmp::JNE, right)
        }
        op => (op, right),
    };
    if scratch.is_clean() {
        return code.refer(asm::jump_reg(op, left, right), inst.target);
    }
    // What was saved comes back on both ways. All comparisons that are left have an opposite.
    let past = code.label();
    let opposite = jmp::opposite(op).unwrap_or(op);
    code.refer(asm::jump_reg(opposite, left, right), Reference::Jump(past));
    scratch.done(code);
    code.refer(asm::goto(), inst.target);
    code.place(past, mov(left, left), Reference::None);
    scratch.done(code);
}
