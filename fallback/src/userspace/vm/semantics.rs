//! What operations compute: RFC 9669 section 4, and `___bpf_prog_run` of the kernel where the RFC
//! leaves a choice.

use super::code::{AluOp, AtomicOp, Condition, Order, SwapWidth};

/// Two-operand arithmetic; 32-bit operations take lower halves and clear the result's upper half.
#[inline(always)]
#[must_use]
pub const fn alu(wide: bool, op: AluOp, a: u64, b: u64) -> u64 {
    if wide { alu64(op, a, b) } else { alu32(op, a as u32, b as u32) as u64 }
}

#[inline(always)]
const fn alu64(op: AluOp, a: u64, b: u64) -> u64 {
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => match a.checked_div(b) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::SignedDiv if b == 0 => 0,
        AluOp::SignedDiv => (a as i64).wrapping_div(b as i64) as u64,
        AluOp::Mod => match a.checked_rem(b) {
            Some(remainder) => remainder,
            None => a,
        },
        AluOp::SignedMod if b == 0 => a,
        AluOp::SignedMod => (a as i64).wrapping_rem(b as i64) as u64,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << (b & 63),
        AluOp::Rsh => a >> (b & 63),
        AluOp::Arsh => ((a as i64) >> (b & 63)) as u64,
    }
}

#[inline(always)]
const fn alu32(op: AluOp, a: u32, b: u32) -> u32 {
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => match a.checked_div(b) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::SignedDiv if b == 0 => 0,
        AluOp::SignedDiv => (a as i32).wrapping_div(b as i32) as u32,
        AluOp::Mod => match a.checked_rem(b) {
            Some(remainder) => remainder,
            None => a,
        },
        AluOp::SignedMod if b == 0 => a,
        AluOp::SignedMod => (a as i32).wrapping_rem(b as i32) as u32,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << (b & 31),
        AluOp::Rsh => a >> (b & 31),
        AluOp::Arsh => ((a as i32) >> (b & 31)) as u32,
    }
}

/// Whether a comparison holds; on 32 bits it compares the lower halves.
#[inline(always)]
#[must_use]
pub const fn holds(wide: bool, cond: Condition, a: u64, b: u64) -> bool {
    let (a, b) = if wide { (a, b) } else { (a as u32 as u64, b as u32 as u64) };
    let (sa, sb) =
        if wide { (a as i64, b as i64) } else { (a as u32 as i32 as i64, b as u32 as i32 as i64) };
    match cond {
        Condition::Eq => a == b,
        Condition::Ne => a != b,
        Condition::Gt => a > b,
        Condition::Ge => a >= b,
        Condition::Lt => a < b,
        Condition::Le => a <= b,
        Condition::Set => a & b != 0,
        Condition::SignedGt => sa > sb,
        Condition::SignedGe => sa >= sb,
        Condition::SignedLt => sa < sb,
        Condition::SignedLe => sa <= sb,
    }
}

/// `-a`.
#[inline(always)]
#[must_use]
pub const fn negated(wide: bool, a: u64) -> u64 {
    if wide { a.wrapping_neg() } else { (a as u32).wrapping_neg() as u64 }
}

/// A move: plain for 0 `sign_bits`, else of that many lower bits, sign-extended.
#[inline(always)]
#[must_use]
pub const fn moved(wide: bool, sign_bits: u8, a: u64) -> u64 {
    let value = match sign_bits {
        8 => a as u8 as i8 as i64 as u64,
        16 => a as u16 as i16 as i64 as u64,
        32 => a as u32 as i32 as i64 as u64,
        _ => a,
    };
    if wide { value } else { value as u32 as u64 }
}

/// Byte-order conversion, which clears what is above its width.
#[inline(always)]
#[must_use]
pub const fn ordered(order: Order, width: SwapWidth, a: u64) -> u64 {
    let swap = match order {
        Order::ToLittle => cfg!(target_endian = "big"),
        Order::ToBig => cfg!(target_endian = "little"),
        Order::Swap => true,
    };
    match (width, swap) {
        (SwapWidth::W16, true) => (a as u16).swap_bytes() as u64,
        (SwapWidth::W32, true) => (a as u32).swap_bytes() as u64,
        (SwapWidth::W64, true) => a.swap_bytes(),
        (SwapWidth::W16, false) => a as u16 as u64,
        (SwapWidth::W32, false) => a as u32 as u64,
        (SwapWidth::W64, false) => a,
    }
}

/// What an atomic operation leaves in memory, from what it found there, its operand and `r0`. For 4
/// bytes the operands are lower halves, and so is the result.
#[inline(always)]
#[must_use]
pub const fn combined(op: AtomicOp, old: u64, operand: u64, r0: u64) -> u64 {
    match op {
        AtomicOp::Add { .. } => old.wrapping_add(operand),
        AtomicOp::Or { .. } => old | operand,
        AtomicOp::And { .. } => old & operand,
        AtomicOp::Xor { .. } => old ^ operand,
        AtomicOp::Exchange => operand,
        AtomicOp::CompareExchange => {
            if old == r0 {
                operand
            } else {
                old
            }
        }
    }
}
