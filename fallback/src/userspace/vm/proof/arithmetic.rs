//! What operations make of ranges and addresses.

use super::state::State;
use super::value::{Null, Range, Value};
use crate::userspace::vm::code::{AluOp, Condition, Order, SwapWidth};
use crate::userspace::vm::semantics;

/// Numbers beyond this are not added to addresses.
const FAR: u64 = 1 << 33;

/// `a op b`, of numbers.
pub(super) fn numbers(wide: bool, op: AluOp, a: Range, b: Range) -> Range {
    let cut = |range: Range| if range.high <= u64::from(u32::MAX) { range } else { Range::WORD };
    if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
        return Range::exactly(semantics::alu(wide, op, a, b));
    }
    if wide {
        wide_numbers(op, a, b, 64)
    } else {
        // What does not fit 32 bits wraps to anything of 32 bits.
        cut(wide_numbers(op, cut(a), cut(b), 32))
    }
}

fn wide_numbers(op: AluOp, a: Range, b: Range, width: u32) -> Range {
    let half = 1_u64 << (width - 1);
    let plain = a.high < half && b.high < half;
    let between = |low: Option<u64>, high: Option<u64>| match (low, high) {
        (Some(low), Some(high)) => Range { low, high },
        _ => Range::ALL,
    };
    let shift = |by: Range| by.constant().map(|by| (by & u64::from(width - 1)) as u32);
    match op {
        // Adding a negative constant is subtracting.
        AluOp::Add if b.constant().is_some_and(|b| b > half && a.low >= b.wrapping_neg()) => {
            Range { low: a.low.wrapping_add(b.low), high: a.high.wrapping_add(b.low) }
        }
        AluOp::Add => between(a.low.checked_add(b.low), a.high.checked_add(b.high)),
        AluOp::Sub => between(a.low.checked_sub(b.high), a.high.checked_sub(b.low)),
        AluOp::Mul => between(a.low.checked_mul(b.low), a.high.checked_mul(b.high)),
        AluOp::And => Range { low: 0, high: a.high.min(b.high) },
        AluOp::Or | AluOp::Xor => {
            let bits = 64 - (a.high | b.high).leading_zeros();
            let high = if bits == 0 { 0 } else { u64::MAX >> (64 - bits) };
            Range { low: if op == AluOp::Or { a.low.max(b.low) } else { 0 }, high }
        }
        AluOp::Lsh => match shift(b) {
            Some(by) if a.high <= u64::MAX >> by => Range { low: a.low << by, high: a.high << by },
            _ => Range::ALL,
        },
        AluOp::Rsh => match shift(b) {
            Some(by) => Range { low: a.low >> by, high: a.high >> by },
            None => Range { low: 0, high: a.high },
        },
        AluOp::Arsh if a.high < half => match shift(b) {
            Some(by) => Range { low: a.low >> by, high: a.high >> by },
            None => Range { low: 0, high: a.high },
        },
        AluOp::Arsh => Range::ALL,
        // A divisor of 0 makes 0.
        AluOp::Div => Range { low: 0, high: a.high / b.low.max(1) },
        AluOp::SignedDiv if plain => Range { low: 0, high: a.high / b.low.max(1) },
        // A divisor of 0 leaves the dividend.
        AluOp::Mod if b.low > 0 => Range { low: 0, high: a.high.min(b.high - 1) },
        AluOp::SignedMod if b.low > 0 && plain => Range { low: 0, high: a.high.min(b.high - 1) },
        AluOp::Mod => Range { low: 0, high: a.high },
        AluOp::SignedMod if plain => Range { low: 0, high: a.high },
        AluOp::SignedDiv | AluOp::SignedMod => Range::ALL,
    }
}

/// A move of so many lower bits, sign-extended; 0: of all.
pub(super) fn moved(wide: bool, sign_bits: u8, value: Value) -> Value {
    let range = value.range();
    let fits = |bits: u32| range.high <= u64::MAX >> (64 - bits);
    match (sign_bits, wide) {
        (0, true) => value,
        (0, false) if fits(32) => Value::Number(range),
        (0, false) => Value::Number(Range::WORD),
        (bits, _) if fits(u32::from(bits) - 1) => Value::Number(range),
        (_, true) => Value::UNKNOWN,
        (_, false) => Value::Number(Range::WORD),
    }
}

/// Byte-order operations.
pub(super) fn ordered(order: Order, width: SwapWidth, value: Value) -> Value {
    let range = value.range();
    match range.constant() {
        Some(value) => Value::exactly(semantics::ordered(order, width, value)),
        None => Value::Number(Range::bits(width as u32)),
    }
}

/// `a op b` on 64 bits, where addresses may be among them.
pub(super) fn values(state: &mut State, at: u32, op: AluOp, a: Value, b: Value) -> Value {
    match (op, a, b) {
        (_, Value::Number(a), Value::Number(b)) => Value::Number(numbers(true, op, a, b)),
        (AluOp::Add, Value::Number(number), address) => plus(state, at, address, number),
        (AluOp::Add, address, Value::Number(number)) => plus(state, at, address, number),
        (AluOp::Sub, address, Value::Number(number)) => match number.constant() {
            Some(by) => plus(state, at, address, Range::exactly(by.wrapping_neg())),
            None => Value::UNKNOWN,
        },
        (AluOp::Sub, Value::Frame { base: ba, off: oa }, Value::Frame { base: bb, off: ob })
            if ba == bb =>
        {
            Value::exactly((oa - ob) as u64)
        }
        _ => Value::UNKNOWN,
    }
}

/// An address plus a number.
fn plus(state: &mut State, at: u32, address: Value, number: Range) -> Value {
    let constant = number.constant().map(|by| by as i64);
    let distance = |from: i64| constant.and_then(|by| from.checked_add(by));
    match address {
        Value::Frame { base, off } => match constant {
            Some(by) => match off.checked_add(by) {
                Some(off) => state.frame(base, off),
                None => Value::UNKNOWN,
            },
            None if number.high <= FAR => {
                let known = state.base(base).at;
                let sum = |a: u64, b: u64| a.checked_add(b)?.checked_add_signed(off);
                match (sum(known.low, number.low), sum(known.high, number.high)) {
                    (Some(low), Some(high)) => state.new_base(at, Range { low, high }),
                    _ => Value::UNKNOWN,
                }
            }
            None => Value::UNKNOWN,
        },
        Value::Context(off) => match distance(off) {
            Some(off) if off.unsigned_abs() < FAR => Value::Context(off),
            _ => Value::UNKNOWN,
        },
        Value::Stack { low, high } => {
            let by = match constant {
                Some(by) => (by, by),
                None if number.high <= FAR => (number.low as i64, number.high as i64),
                None => return Value::OuterStack,
            };
            let near = |sum: &i64| sum.unsigned_abs() < FAR;
            match (low.checked_add(by.0).filter(near), high.checked_add(by.1).filter(near)) {
                (Some(low), Some(high)) => Value::Stack { low, high },
                _ => Value::UNKNOWN,
            }
        }
        Value::Map { map, at, null: Null::No } => {
            let sum = |bound: u64, number: u64| match constant {
                Some(by) => bound.checked_add_signed(by),
                None => bound.checked_add(number),
            };
            match (sum(at.low, number.low), sum(at.high, number.high)) {
                (Some(low), Some(high)) if high <= FAR => {
                    Value::Map { map, at: Range { low, high }, null: Null::No }
                }
                _ => Value::UNKNOWN,
            }
        }
        _ => Value::UNKNOWN,
    }
}

/// What is left of both sides of a comparison that holds; `None` where it cannot hold.
pub(super) fn compared(cond: Condition, a: Range, b: Range, half: u64) -> Option<(Range, Range)> {
    let unsigned = match cond {
        Condition::SignedGt => Condition::Gt,
        Condition::SignedGe => Condition::Ge,
        Condition::SignedLt => Condition::Lt,
        Condition::SignedLe => Condition::Le,
        _ => return unsigned(cond, a, b),
    };
    // Signed comparisons of numbers that are not negative are unsigned ones.
    if a.high < half && b.high < half { self::unsigned(unsigned, a, b) } else { Some((a, b)) }
}

fn unsigned(cond: Condition, a: Range, b: Range) -> Option<(Range, Range)> {
    let up_to = |high| Range { low: 0, high };
    let from = |low| Range { low, high: u64::MAX };
    match cond {
        Condition::Eq => {
            let both = a.both(b)?;
            Some((both, both))
        }
        Condition::Ne => {
            // Only an end that is excluded can be cut off.
            let without = |range: Range, other: Range| match other.constant() {
                Some(x) if range.low == x && range.high == x => None,
                Some(x) if range.low == x => Some(Range { low: x + 1, ..range }),
                Some(x) if range.high == x => Some(Range { high: x - 1, ..range }),
                _ => Some(range),
            };
            Some((without(a, b)?, without(b, a)?))
        }
        Condition::Lt => {
            let (most, least) = (b.high.checked_sub(1)?, a.low.checked_add(1)?);
            Some((a.both(up_to(most))?, b.both(from(least))?))
        }
        Condition::Le => Some((a.both(up_to(b.high))?, b.both(from(a.low))?)),
        Condition::Gt => unsigned(Condition::Lt, b, a).map(|(b, a)| (a, b)),
        Condition::Ge => unsigned(Condition::Le, b, a).map(|(b, a)| (a, b)),
        _ => Some((a, b)),
    }
}

/// The comparison that holds where this one does not; `None` where there is none.
pub(super) const fn negated(cond: Condition) -> Option<Condition> {
    Some(match cond {
        Condition::Eq => Condition::Ne,
        Condition::Ne => Condition::Eq,
        Condition::Gt => Condition::Le,
        Condition::Ge => Condition::Lt,
        Condition::Lt => Condition::Ge,
        Condition::Le => Condition::Gt,
        Condition::SignedGt => Condition::SignedLe,
        Condition::SignedGe => Condition::SignedLt,
        Condition::SignedLt => Condition::SignedGe,
        Condition::SignedLe => Condition::SignedGt,
        Condition::Set => return None,
    })
}
