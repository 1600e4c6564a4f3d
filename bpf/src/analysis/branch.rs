//! Which ways a conditional jump can go, and what is known afterwards.

use super::value::{Rest, Value, bits};
use crate::insn::Insn;
use crate::opcode::{X, class, jmp};

/// The condition's result for two constants; `None` for an operation that is not known.
pub(super) fn holds(op: u8, wide: bool, a: u64, b: u64) -> Option<bool> {
    let (a, b) = if wide { (a, b) } else { (a & 0xffff_ffff, b & 0xffff_ffff) };
    let (sa, sb) =
        if wide { (a as i64, b as i64) } else { (i64::from(a as i32), i64::from(b as i32)) };
    Some(match op {
        jmp::JEQ => a == b,
        jmp::JNE => a != b,
        jmp::JGT => a > b,
        jmp::JGE => a >= b,
        jmp::JLT => a < b,
        jmp::JLE => a <= b,
        jmp::JSGT => sa > sb,
        jmp::JSGE => sa >= sb,
        jmp::JSLT => sa < sb,
        jmp::JSLE => sa <= sb,
        jmp::JSET => a & b != 0,
        _ => return None,
    })
}

/// What the register compared holds where the jump is taken, and where it is not; `None` where
/// that way is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    pub(super) taken: Option<Value>,
    pub(super) fallen: Option<Value>,
}

/// Decides a conditional jump on `dst` with the other operand `src`.
pub(super) fn decide(insn: Insn, dst: Value, src: Value) -> Ways {
    let both = Ways { taken: Some(dst), fallen: Some(dst) };
    let op = insn.code & 0xf0;
    let wide = insn.class() == class::JMP;
    let other = if insn.code & X == 0 { Value::Const(insn.imm as i64 as u64) } else { src };
    let Value::Const(b) = other else { return both };
    match dst {
        Value::Const(a) => match holds(op, wide, a, b) {
            Some(true) => Ways { taken: Some(dst), fallen: None },
            Some(false) => Ways { taken: None, fallen: Some(dst) },
            None => both,
        },
        Value::Scalar { small, rest: Rest::Closed } => {
            let (mut yes, mut no) = (0, 0);
            for a in bits(small) {
                match holds(op, wide, a, b) {
                    Some(true) => yes |= 1 << a,
                    Some(false) => no |= 1 << a,
                    None => return both,
                }
            }
            let way = |set: u64| match set.count_ones() {
                0 => None,
                1 => Some(Value::Const(u64::from(set.trailing_zeros()))),
                _ => Some(Value::Scalar { small: set, rest: Rest::Closed }),
            };
            Ways { taken: way(yes), fallen: way(no) }
        }
        // Where a scalar equals a constant it is that constant.
        Value::Scalar { .. } if wide && op == jmp::JEQ => {
            Ways { taken: Some(Value::Const(b)), fallen: Some(dst) }
        }
        Value::Scalar { .. } if wide && op == jmp::JNE => {
            Ways { taken: Some(dst), fallen: Some(Value::Const(b)) }
        }
        // Pointers too: the verifier does not know of the context, the stack and functions that
        // they are never null, and of maps only since Linux 6.16 (`reg_not_null`).
        _ => both,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_decide_and_sets_are_split() {
        let jump = |code: u8, imm| Insn::new(code, 1, 0, 0, imm);
        let set = Value::Scalar { small: 0b1110, rest: Rest::Closed };
        let w = |taken, fallen| Ways { taken, fallen };
        let c = |v| Some(Value::Const(v));
        for (code, imm, value, expected) in [
            (class::JMP | jmp::JEQ, 3, Value::Const(3), w(c(3), None)),
            (class::JMP | jmp::JEQ, 3, Value::Const(4), w(None, c(4))),
            (class::JMP | jmp::JSLT, 0, Value::Const(u64::MAX), w(c(u64::MAX), None)),
            (class::JMP | jmp::JLT, 0, Value::Const(u64::MAX), w(None, c(u64::MAX))),
            (class::JMP32 | jmp::JSGT, -2, Value::Const(0xffff_ffff), w(c(0xffff_ffff), None)),
            (class::JMP | jmp::JSET, 4, Value::Const(6), w(c(6), None)),
            (
                class::JMP | jmp::JGT,
                1,
                set,
                w(Some(Value::Scalar { small: 0b1100, rest: Rest::Closed }), c(1)),
            ),
            (class::JMP | jmp::JEQ, 9, set, w(None, Some(set))),
            (class::JMP | jmp::JEQ, 7, Value::ANY, w(c(7), Some(Value::ANY))),
            (class::JMP | jmp::JEQ, 0, Value::Ctx, w(Some(Value::Ctx), Some(Value::Ctx))),
            (class::JMP | jmp::JCOND, 0, Value::Const(1), w(c(1), c(1))),
        ] {
            assert_eq!(decide(jump(code, imm), value, Value::Unset), expected, "{code:#x} {imm}");
        }
    }

    #[test]
    fn what_the_verifier_cannot_know_is_not_decided() {
        let opaque = Value::Scalar { small: 0b10, rest: Rest::Opaque };
        let ways = decide(Insn::new(class::JMP | jmp::JGT, 1, 0, 0, 5), opaque, Value::Unset);
        assert_eq!(ways, Ways { taken: Some(opaque), fallen: Some(opaque) });
    }
}
