//! Arithmetic on abstract values.

use super::interp::{reg, set};
use super::state::State;
use super::value::{NO_OFFSET, UNKNOWN, Value, kind};
use crate::insn::Insn;
use crate::opcode::{X, alu, class};

/// Applies an arithmetic instruction.
pub(super) fn apply(insn: Insn, state: &mut State) {
    let wide = insn.class() == class::ALU64;
    let op = insn.code & 0xf0;
    let dst = reg(state, insn.dst());
    let src = if insn.code & X == 0 {
        Value::Const(insn.imm as i64 as u64)
    } else {
        reg(state, insn.src())
    };
    let value = match op {
        alu::MOV if insn.off == 0 => {
            if wide {
                src
            } else {
                src.map_scalar(|v| Some(v & 0xffff_ffff))
            }
        }
        alu::MOV => src.map_scalar(|v| sign_extend(v, insn.off, wide)),
        alu::NEG => dst.map_scalar(|v| Some(narrow(v.wrapping_neg(), wide))),
        alu::END => Value::ANY,
        alu::ADD | alu::SUB if wide && !is_scalar(dst) => moved(op, dst, src),
        alu::ADD if wide && !is_scalar(src) => moved(op, src, dst),
        _ => match src {
            Value::Const(b) => dst.map_scalar(|a| compute(op, insn.off, wide, a, b)),
            _ => Value::ANY,
        },
    };
    set(state, insn.dst(), value);
}

fn is_scalar(value: Value) -> bool {
    value == Value::Unset || value.scalar().is_some()
}

/// A pointer with a scalar added or taken away; the difference of two pointers is a scalar.
fn moved(op: u8, pointer: Value, by: Value) -> Value {
    if !is_scalar(by) {
        return match (pointer.is_pointer(), by.is_pointer()) {
            _ if op == alu::SUB => difference(pointer, by),
            // The verifier adds no pointer to a pointer: the other one is a number.
            (true, false) => moved(op, pointer, Value::ANY),
            (false, true) => moved(op, by, Value::ANY),
            _ => unmoved(Value::Mixed(pointer.kinds() | by.kinds())),
        };
    }
    let delta = match by {
        Value::Const(c) => i32::try_from(c as i64).ok(),
        _ => None,
    };
    let delta = if op == alu::SUB { delta.and_then(i32::checked_neg) } else { delta };
    match pointer {
        Value::Stack { frame, offset } => {
            let offset = match delta {
                Some(d) if offset != NO_OFFSET => offset.checked_add(d).unwrap_or(NO_OFFSET),
                _ => NO_OFFSET,
            };
            Value::Stack { frame, offset }
        }
        Value::MapValue { map, offset } => {
            let offset = match delta {
                Some(d) if offset != UNKNOWN => offset.checked_add_signed(d).unwrap_or(UNKNOWN),
                _ => UNKNOWN,
            };
            Value::MapValue { map, offset }
        }
        Value::Mixed(_) if delta != Some(0) => unmoved(pointer),
        v => v,
    }
}

/// Kinds that the verifier dereferences only as they were given ("dereference of modified ctx ptr",
/// "pointer arithmetic on map_ptr prohibited").
const FIXED: u16 = kind::CTX | kind::MAP | kind::FUNC | kind::PACKET_END;

/// What was moved and may be a number is one, if the alternative could not be used any more: an
/// element of a table on the stack, beside which pointers are kept.
fn unmoved(value: Value) -> Value {
    let kinds = value.kinds();
    if kinds & kind::SCALAR == 0 { value } else { Value::number_or(kinds & !FIXED) }
}

/// What is left of a pointer from which something was taken that may be a pointer too.
fn difference(pointer: Value, by: Value) -> Value {
    if by.is_pointer() { Value::ANY } else { moved(alu::SUB, pointer, Value::ANY).join(Value::ANY) }
}

fn narrow(value: u64, wide: bool) -> u64 {
    if wide { value } else { value & 0xffff_ffff }
}

fn sign_extend(value: u64, bits: i16, wide: bool) -> Option<u64> {
    let extended = match bits {
        8 => i64::from(value as i8),
        16 => i64::from(value as i16),
        32 => i64::from(value as i32),
        _ => return None,
    };
    Some(narrow(extended as u64, wide))
}

/// One operation on constants; `None` for what is not worth computing.
pub(super) fn compute(op: u8, off: i16, wide: bool, a: u64, b: u64) -> Option<u64> {
    let (a, b) = (narrow(a, wide), narrow(b, wide));
    let bits = if wide { 64 } else { 32 };
    let value = match op {
        alu::ADD => a.wrapping_add(b),
        alu::SUB => a.wrapping_sub(b),
        alu::MUL => a.wrapping_mul(b),
        // RFC 9669 section 4.1: division by zero gives 0, modulo by zero the dividend.
        alu::DIV if off == 0 => a.checked_div(b).unwrap_or(0),
        alu::MOD if off == 0 => a.checked_rem(b).unwrap_or(a),
        alu::OR => a | b,
        alu::AND => a & b,
        alu::XOR => a ^ b,
        alu::LSH => a.checked_shl((b % bits) as u32)?,
        alu::RSH => a.checked_shr((b % bits) as u32)?,
        alu::ARSH if wide => ((a as i64) >> (b % bits)) as u64,
        alu::ARSH => (i64::from(a as i32) >> (b % bits)) as u64,
        _ => return None,
    };
    Some(narrow(value, wide))
}

#[cfg(test)]
mod tests {
    use super::super::value::Rest;
    use super::*;

    fn run(insn: Insn, r1: Value, r2: Value) -> Value {
        let mut state = State::entry();
        (state.regs[1], state.regs[2]) = (r1, r2);
        apply(insn, &mut state);
        state.regs[1]
    }

    #[test]
    fn arithmetic_follows_rfc_9669() {
        let c = Value::Const;
        for (code, off, imm, a, expected) in [
            (class::ALU64 | alu::ADD, 0, -1, c(5), c(4)),
            (class::ALU | alu::ADD, 0, -1, c(0), c(0xffff_ffff)),
            (class::ALU | alu::MOV, 0, -1, c(0), c(0xffff_ffff)),
            (class::ALU64 | alu::MOV, 0, -1, c(0), c(u64::MAX)),
            (class::ALU64 | alu::DIV, 0, 0, c(7), c(0)),
            (class::ALU64 | alu::MOD, 0, 0, c(7), c(7)),
            (class::ALU | alu::ARSH, 0, 4, c(0x8000_0000), c(0xf800_0000)),
            (class::ALU64 | alu::RSH, 0, 63, c(u64::MAX), c(1)),
            (class::ALU64 | alu::DIV, 1, 2, c(7), Value::ANY),
            (class::ALU64 | alu::NEG, 0, 0, c(1), c(u64::MAX)),
        ] {
            assert_eq!(
                run(Insn::new(code, 1, 0, off, imm), a, Value::Unset),
                expected,
                "{code:#x}"
            );
        }
        let movsx = Insn::new(class::ALU64 | X | alu::MOV, 1, 2, 8, 0);
        assert_eq!(run(movsx, Value::Unset, c(0x80)), c(0xffff_ffff_ffff_ff80));
    }

    #[test]
    fn sets_of_constants_are_computed_element_by_element() {
        let set = Value::Scalar { small: 0b11, rest: Rest::Closed };
        let plus = Insn::new(class::ALU64 | alu::ADD, 1, 0, 0, 1);
        assert_eq!(
            run(plus, set, Value::Unset),
            Value::Scalar { small: 0b110, rest: Rest::Closed }
        );
    }

    #[test]
    fn pointers_keep_their_kind_and_lose_what_is_not_known() {
        let add = Insn::new(class::ALU64 | X | alu::ADD, 1, 2, 0, 0);
        let sub = Insn::new(class::ALU64 | X | alu::SUB, 1, 2, 0, 0);
        let stack = |offset| Value::Stack { frame: 0, offset };
        for (insn, a, b, expected) in [
            (add, stack(-8), Value::Const(4), stack(-4)),
            (add, stack(-8), Value::ANY, stack(NO_OFFSET)),
            (add, Value::Const(4), stack(-8), stack(-4)),
            (add, Value::ANY, Value::Packet, Value::Packet),
            (sub, Value::PacketEnd, Value::Packet, Value::ANY),
            (sub, Value::Packet, Value::Const(4), Value::Packet),
        ] {
            assert_eq!(run(insn, a, b), expected, "{insn:?}");
        }
    }
}
