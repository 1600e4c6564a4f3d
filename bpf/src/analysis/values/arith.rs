//! What instructions make of numbers and pointers.

use super::value::{Range, Value};
use crate::insn::Insn;
use crate::opcode::{alu, class};

/// `dst op src`.
pub(super) fn compute(insn: Insn, dst: Value, src: Value) -> Value {
    let wide = insn.class() == class::ALU64;
    let op = insn.code & 0xf0;
    match op {
        alu::MOV => moved(insn.off, wide, src),
        alu::NEG => Value::Number(numbers(alu::SUB, 0, wide, Range::exactly(0), dst.range())),
        alu::END => Value::Number(swapped(insn, dst.range())),
        alu::ADD if wide && !is_number(dst) && is_number(src) => plus(dst, src.range()),
        alu::ADD if wide && is_number(dst) && !is_number(src) => plus(src, dst.range()),
        alu::SUB if wide && !is_number(dst) && is_number(src) => minus(dst, src.range()),
        _ => Value::Number(numbers(op, insn.off, wide, dst.range(), src.range())),
    }
}

const fn is_number(value: Value) -> bool {
    matches!(value, Value::Number(_) | Value::Unset)
}

fn moved(sign_bits: i16, wide: bool, value: Value) -> Value {
    let range = value.range();
    let most = match sign_bits {
        8 | 16 | 32 => Range::bits(sign_bits as u32 - 1).high,
        _ if wide => return value,
        _ => Range::WORD.high,
    };
    match (range.high <= most, wide) {
        (true, _) => Value::Number(range),
        (false, true) => Value::ANY,
        (false, false) => match range.constant() {
            Some(number) if sign_bits == 0 => Value::exactly(number & Range::WORD.high),
            _ => Value::Number(Range::WORD),
        },
    }
}

fn swapped(insn: Insn, range: Range) -> Range {
    let bits = insn.imm as u32;
    let keeps = insn.class() == class::ALU && insn.code & 0x08 == 0;
    match (bits, range.high <= Range::bits(bits.min(64)).high) {
        (16 | 32 | 64, true) if keeps => range,
        (16 | 32 | 64, _) if range == Range::exactly(0) => range,
        (16 | 32 | 64, _) => Range::bits(bits),
        _ => Range::ALL,
    }
}

/// A pointer plus a number.
fn plus(pointer: Value, by: Range) -> Value {
    match pointer {
        Value::Packet(at) => Value::Packet(at.plus(by)),
        Value::Stack { frame, at } => Value::Stack { frame, at: at.plus(by) },
        Value::MapValue { map, at, null } => Value::MapValue { map, at: at.plus(by), null },
        other => other,
    }
}

fn minus(pointer: Value, by: Range) -> Value {
    match by.constant() {
        Some(by) => plus(pointer, Range::exactly(by.wrapping_neg())),
        None => plus(pointer, Range::ALL),
    }
}

/// An operation on ranges. A pointer counts as any number.
fn numbers(op: u8, off: i16, wide: bool, a: Range, b: Range) -> Range {
    if let (Some(a), Some(b)) = (a.constant(), b.constant())
        && let Some(exact) = super::super::arith::compute(op, off, wide, a, b)
    {
        return Range::exactly(exact);
    }
    if wide {
        return within(op, off, a, b, 64);
    }
    let cut = |range: Range| if range.high <= Range::WORD.high { range } else { Range::WORD };
    cut(within(op, off, cut(a), cut(b), 32))
}

/// What does not fit 64 bits, or is too much to work out, is anything.
fn within(op: u8, off: i16, a: Range, b: Range, width: u32) -> Range {
    let half = 1_u64 << (width - 1);
    let plain = a.high < half && b.high < half;
    let between = |low: Option<u64>, high: Option<u64>| match (low, high) {
        (Some(low), Some(high)) => Range { low, high },
        _ => Range::ALL,
    };
    let shift = b.constant().map(|by| (by & u64::from(width - 1)) as u32);
    match op {
        // Adding a negative constant is subtracting.
        alu::ADD if width == 64 && b.low >= half && b.constant().is_some() => {
            let by = b.low.wrapping_neg();
            between(a.low.checked_sub(by), a.high.checked_sub(by))
        }
        alu::ADD => between(a.low.checked_add(b.low), a.high.checked_add(b.high)),
        alu::SUB => between(a.low.checked_sub(b.high), a.high.checked_sub(b.low)),
        alu::MUL => between(a.low.checked_mul(b.low), a.high.checked_mul(b.high)),
        alu::AND => Range { low: 0, high: a.high.min(b.high) },
        alu::OR | alu::XOR => {
            let bits = 64 - (a.high | b.high).leading_zeros();
            let low = if op == alu::OR { a.low.max(b.low) } else { 0 };
            Range { low, high: Range::bits(bits).high }
        }
        alu::LSH => match shift {
            Some(by) if a.high <= u64::MAX >> by => Range { low: a.low << by, high: a.high << by },
            _ => Range::ALL,
        },
        alu::RSH => match shift {
            Some(by) => Range { low: a.low >> by, high: a.high >> by },
            None => Range { low: 0, high: a.high },
        },
        alu::ARSH if a.high < half => match shift {
            Some(by) => Range { low: a.low >> by, high: a.high >> by },
            None => Range { low: 0, high: a.high },
        },
        // RFC 9669 section 4.1: division by zero gives 0, modulo by zero the dividend.
        alu::DIV if off == 0 || plain => Range { low: 0, high: a.high / b.low.max(1) },
        alu::MOD if (off == 0 || plain) && b.low > 0 => {
            Range { low: 0, high: a.high.min(b.high - 1) }
        }
        alu::MOD if off == 0 || plain => Range { low: 0, high: a.high },
        _ => Range::ALL,
    }
}
