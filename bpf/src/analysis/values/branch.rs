//! Which ways a comparison can go, and what is known on each.

use super::value::{Range, Value};
use crate::insn::Insn;
use crate::opcode::{class, jmp};

/// Both sides of a comparison, as they are on a way.
pub(super) type Sides = (Value, Value);

/// What is known where the jump is taken, and where it is not; `None` where that way is impossible.
pub(super) fn decide(insn: Insn, dst: Value, src: Value) -> (Option<Sides>, Option<Sides>) {
    let both = (Some((dst, src)), Some((dst, src)));
    let op = insn.code & 0xf0;
    if let (Value::MapValue { map, at, null: true }, Value::Number(zero)) = (dst, src)
        && zero == Range::exactly(0)
        && insn.class() == class::JMP
    {
        let (null, found) =
            (Some((Value::exactly(0), src)), Some((Value::MapValue { map, at, null: false }, src)));
        return match op {
            jmp::JEQ => (null, found),
            jmp::JNE => (found, null),
            _ => both,
        };
    }
    let (Value::Number(a), Value::Number(b)) = (dst, src) else { return both };
    let wide = insn.class() == class::JMP;
    if !wide && (a.high > Range::WORD.high || b.high > Range::WORD.high) {
        // The lower halves alone are compared; of constants they are known.
        return narrow(op, a, b).unwrap_or(both);
    }
    let half = 1_u64 << if wide { 63 } else { 31 };
    let Some(opposite) = jmp::opposite(op) else { return both };
    let way = |op: u8| {
        let unsigned = match op {
            jmp::JSGT => jmp::JGT,
            jmp::JSGE => jmp::JGE,
            jmp::JSLT => jmp::JLT,
            jmp::JSLE => jmp::JLE,
            op => return ordered(op, a, b),
        };
        // Signed comparisons of numbers that are not negative are unsigned ones.
        if a.high < half && b.high < half {
            ordered(unsigned, a, b)
        } else {
            signed(op, a, b, wide)
        }
    };
    let sides =
        |found: Option<(Range, Range)>| found.map(|(a, b)| (Value::Number(a), Value::Number(b)));
    (sides(way(op)), sides(way(opposite)))
}

/// Constants whose lower halves are compared.
fn narrow(op: u8, a: Range, b: Range) -> Option<(Option<Sides>, Option<Sides>)> {
    let (a, b) = (a.constant()?, b.constant()?);
    let holds = super::super::branch::holds(op, false, a, b)?;
    let sides = (Value::exactly(a), Value::exactly(b));
    Some((holds.then_some(sides), (!holds).then_some(sides)))
}

/// Constants are compared whatever their sign; of ranges nothing is learnt.
fn signed(op: u8, a: Range, b: Range, wide: bool) -> Option<(Range, Range)> {
    match (a.constant(), b.constant()) {
        (Some(x), Some(y)) => {
            super::super::branch::holds(op, wide, x, y).unwrap_or(true).then_some((a, b))
        }
        _ => Some((a, b)),
    }
}

/// What is left of both sides where an unsigned comparison holds; `None` where it cannot.
fn ordered(op: u8, a: Range, b: Range) -> Option<(Range, Range)> {
    let up_to = |high| Range { low: 0, high };
    let from = |low| Range { low, high: u64::MAX };
    match op {
        jmp::JEQ => a.both(b).map(|both| (both, both)),
        jmp::JNE => Some((without(a, b)?, without(b, a)?)),
        jmp::JLT => {
            let (most, least) = (b.high.checked_sub(1)?, a.low.checked_add(1)?);
            Some((a.both(up_to(most))?, b.both(from(least))?))
        }
        jmp::JLE => Some((a.both(up_to(b.high))?, b.both(from(a.low))?)),
        jmp::JGT => ordered(jmp::JLT, b, a).map(|(b, a)| (a, b)),
        jmp::JGE => ordered(jmp::JLE, b, a).map(|(b, a)| (a, b)),
        _ => Some((a, b)),
    }
}

/// Only an end that is excluded can be cut off.
fn without(range: Range, other: Range) -> Option<Range> {
    match other.constant() {
        Some(x) if range == Range::exactly(x) => None,
        Some(x) if range.low == x => Some(Range { low: x + 1, ..range }),
        Some(x) if range.high == x => Some(Range { high: x - 1, ..range }),
        _ => Some(range),
    }
}
