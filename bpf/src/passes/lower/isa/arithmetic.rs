//! Arithmetic. What is written here is of the first version, 64 bits wide; 32-bit results have their
//! upper halves cleared as RFC 9669 section 4.1 says.

use super::super::asm::{imm, mov, neg, reg, sign_extend, zero_extend};
use super::super::edit::Code;
use super::super::target::Target;
use super::Scratch;
use crate::insn::Insn;
use crate::opcode::{X, access_bytes, alu, class, mode};

pub(super) fn expand(
    target: &Target,
    insn: Insn,
    scratch: &mut Scratch,
    code: &mut Code<'_>,
) -> Option<()> {
    let wide = insn.class() == class::ALU64;
    match insn.code & 0xf0 {
        alu::END => byte_order(insn, code),
        alu::MOV if insn.off != 0 => sign_extending_move(insn, wide, code),
        alu::DIV | alu::MOD if insn.off != 0 => signed(insn, wide, scratch, code),
        alu::MOD if wide || target.isa >= 3 => modulo(insn, scratch, code),
        _ if !wide => narrow(insn, scratch, code),
        _ => return None,
    }
    Some(())
}

/// `dst = (signed)*(src + off)`: the plain load, then the sign.
pub(super) fn signed_load(insn: Insn, code: &mut Code<'_>) {
    let bytes = access_bytes(insn.code);
    code.put(Insn { code: insn.code & !0xe0 | mode::MEM, ..insn });
    code.puts(sign_extend(insn.dst(), 8 * i32::from(bytes)));
}

/// Byte swaps. Where programs run is little-endian: a swap is a change to big-endian order, and a
/// change to little-endian order only cuts off.
fn byte_order(insn: Insn, code: &mut Code<'_>) {
    let dst = insn.dst();
    let to_little = insn.class() == class::ALU && insn.code & X == 0;
    match (to_little, insn.imm) {
        (true, 16) => code.put(imm(alu::AND, dst, 0xffff)),
        (true, 32) => code.puts(zero_extend(dst)),
        (true, _) => code.put(mov(dst, dst)),
        (false, _) => code.put(Insn::new(class::ALU | X | alu::END, dst, 0, 0, insn.imm)),
    }
}

fn sign_extending_move(insn: Insn, wide: bool, code: &mut Code<'_>) {
    let dst = insn.dst();
    if dst != insn.src() {
        code.put(mov(dst, insn.src()));
    }
    code.puts(sign_extend(dst, i32::from(insn.off)));
    if !wide {
        code.puts(zero_extend(dst));
    }
}

/// `x - x / k * k`, also where `k` is 0: then `x / k` is 0 and `x` is left.
fn modulo(insn: Insn, scratch: &mut Scratch, code: &mut Code<'_>) {
    let (dst, operand) = (insn.dst(), insn.code & X);
    let arithmetic = |op: u8, dst: u8| Insn {
        code: insn.class() | operand | op,
        ..Insn::new(0, dst, insn.src(), 0, insn.imm)
    };
    if operand == 0 && insn.imm > 0 && insn.imm & (insn.imm - 1) == 0 {
        code.put(Insn { imm: insn.imm - 1, ..arithmetic(alu::AND, dst) });
        return;
    }
    let [part] = scratch.take(code);
    let register = |op, dst, src| Insn::new(insn.class() | X | op, dst, src, 0, 0);
    code.put(register(alu::MOV, part, dst));
    code.puts([arithmetic(alu::DIV, part), arithmetic(alu::MUL, part)]);
    code.put(register(alu::SUB, dst, part));
    scratch.done(code);
}

/// Signed division and modulo: of the absolute values, unsigned, then the sign; `s` is all ones
/// where a value is negative, and `(x ^ s) - s` is `-x` there. The least number stays what it is as
/// an absolute value, 2^63, so that dividing it by -1 gives itself.
fn signed(insn: Insn, wide: bool, scratch: &mut Scratch, code: &mut Code<'_>) {
    let dst = insn.dst();
    let [sign, divisor, other] = scratch.take(code);
    if insn.code & X == 0 {
        code.constant(divisor, insn.imm as i64 as u64);
    } else {
        code.put(mov(divisor, insn.src()));
    }
    if !wide {
        code.puts(sign_extend(divisor, 32));
        code.puts(sign_extend(dst, 32));
    }
    absolute(dst, sign, code);
    absolute(divisor, other, code);
    code.put(reg(insn.code & 0xf0, dst, divisor));
    if insn.code & 0xf0 == alu::DIV {
        code.put(reg(alu::XOR, sign, other));
    }
    code.puts([reg(alu::XOR, dst, sign), reg(alu::SUB, dst, sign)]);
    if !wide {
        code.puts(zero_extend(dst));
    }
    scratch.done(code);
}

/// `sign = x < 0 ? -1 : 0; x = |x|`
fn absolute(x: u8, sign: u8, code: &mut Code<'_>) {
    code.puts([
        mov(sign, x),
        imm(alu::ARSH, sign, 63),
        reg(alu::XOR, x, sign),
        reg(alu::SUB, x, sign),
    ]);
}

/// 32-bit arithmetic.
fn narrow(insn: Insn, scratch: &mut Scratch, code: &mut Code<'_>) {
    let (dst, src, op) = (insn.dst(), insn.src(), insn.code & 0xf0);
    let constant = insn.code & X == 0;
    match op {
        alu::MOV if constant => return code.constant(dst, u64::from(insn.imm as u32)),
        // What the lower half becomes depends on lower halves alone.
        alu::MOV => code.put(mov(dst, src)),
        alu::NEG => code.put(neg(dst)),
        alu::ADD | alu::SUB | alu::MUL | alu::OR | alu::AND | alu::XOR if constant => {
            code.put(imm(op, dst, insn.imm));
        }
        alu::ADD | alu::SUB | alu::MUL | alu::OR | alu::AND | alu::XOR => {
            code.put(reg(op, dst, src));
        }
        alu::LSH if constant => code.put(imm(op, dst, insn.imm & 31)),
        alu::RSH if constant => {
            code.puts(zero_extend(dst));
            return code.put(imm(op, dst, insn.imm & 31));
        }
        alu::ARSH if constant => {
            code.puts(sign_extend(dst, 32));
            code.put(imm(op, dst, insn.imm & 31));
        }
        // A divisor, a modulus or a shift in a register, or a constant that may have its highest bit
        // set, which 64-bit instructions would extend.
        _ => {
            let [right] = scratch.take(code);
            if constant {
                code.constant(right, u64::from(insn.imm as u32));
            } else {
                code.put(mov(right, src));
                match op {
                    alu::DIV | alu::MOD => code.puts(zero_extend(right)),
                    _ => code.put(imm(alu::AND, right, 31)),
                }
            }
            match op {
                alu::ARSH => code.puts(sign_extend(dst, 32)),
                alu::LSH => {}
                _ => code.puts(zero_extend(dst)),
            }
            code.put(reg(op, dst, right));
            if matches!(op, alu::LSH | alu::ARSH) {
                code.puts(zero_extend(dst));
            }
            return scratch.done(code);
        }
    }
    code.puts(zero_extend(dst));
}
