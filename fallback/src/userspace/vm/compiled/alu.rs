//! Arithmetic, moves and byte order (RFC 9669 section 4).

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

use super::super::code::{AluOp, Order, Register, Source, SwapWidth};
use super::function::Translator;

impl Translator<'_, '_> {
    pub(super) fn alu(&mut self, wide: bool, op: AluOp, dst: Register, source: Source) {
        let ty = if wide { I64 } else { I32 };
        let left = self.register_as(dst, ty);
        let result = match source {
            Source::Constant(value) => {
                // The lower half is what 32-bit operations use.
                let value = if wide { value.cast_signed() } else { i64::from(value as i32) };
                self.by_constant(ty, op, left, value)
            }
            Source::Register(register) => {
                let right = self.register_as(register, ty);
                self.by_value(ty, op, left, right)
            }
        };
        self.set_zero_extended(dst, result);
    }

    fn by_constant(&mut self, ty: Type, op: AluOp, left: Value, right: i64) -> Value {
        match (op, right) {
            (AluOp::Div | AluOp::SignedDiv, 0) => return self.constant(ty, 0),
            (AluOp::Mod | AluOp::SignedMod, 0) => return left,
            // The machine instruction overflows for the least number; the definition does not.
            (AluOp::SignedDiv, -1) => return self.builder.ins().ineg(left),
            (AluOp::SignedMod, -1) => return self.constant(ty, 0),
            _ => {}
        }
        let right = self.constant(ty, right);
        match op {
            AluOp::Div => self.builder.ins().udiv(left, right),
            AluOp::SignedDiv => self.builder.ins().sdiv(left, right),
            AluOp::Mod => self.builder.ins().urem(left, right),
            AluOp::SignedMod => self.builder.ins().srem(left, right),
            _ => self.by_value(ty, op, left, right),
        }
    }

    fn by_value(&mut self, ty: Type, op: AluOp, left: Value, right: Value) -> Value {
        match op {
            AluOp::Add => self.builder.ins().iadd(left, right),
            AluOp::Sub => self.builder.ins().isub(left, right),
            AluOp::Mul => self.builder.ins().imul(left, right),
            AluOp::Or => self.builder.ins().bor(left, right),
            AluOp::And => self.builder.ins().band(left, right),
            AluOp::Xor => self.builder.ins().bxor(left, right),
            // Cranelift takes amounts modulo the width, as BPF does.
            AluOp::Lsh => self.builder.ins().ishl(left, right),
            AluOp::Rsh => self.builder.ins().ushr(left, right),
            AluOp::Arsh => self.builder.ins().sshr(left, right),
            AluOp::Div | AluOp::Mod | AluOp::SignedDiv | AluOp::SignedMod => {
                self.divide(ty, op, left, right)
            }
        }
    }

    /// Division by what is known only when it happens. The machine's division traps for divisors 0
    /// and -1 (with the least number), so it gets 1 in their place.
    fn divide(&mut self, ty: Type, op: AluOp, left: Value, right: Value) -> Value {
        let zero = self.constant(ty, 0);
        let one = self.constant(ty, 1);
        let by_zero = self.builder.ins().icmp(IntCC::Equal, right, zero);
        match op {
            AluOp::Div => {
                let divisor = self.builder.ins().select(by_zero, one, right);
                let quotient = self.builder.ins().udiv(left, divisor);
                self.builder.ins().select(by_zero, zero, quotient)
            }
            AluOp::Mod => {
                let divisor = self.builder.ins().select(by_zero, one, right);
                let rest = self.builder.ins().urem(left, divisor);
                self.builder.ins().select(by_zero, left, rest)
            }
            _ => {
                // 0 and -1 are those that one more makes at most 1.
                let next = self.builder.ins().iadd(right, one);
                let special = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, one);
                let divisor = self.builder.ins().select(special, one, right);
                if op == AluOp::SignedMod {
                    let rest = self.builder.ins().srem(left, divisor);
                    return self.builder.ins().select(by_zero, left, rest);
                }
                let quotient = self.builder.ins().sdiv(left, divisor);
                let negated = self.builder.ins().ineg(left);
                let otherwise = self.builder.ins().select(by_zero, zero, negated);
                self.builder.ins().select(special, otherwise, quotient)
            }
        }
    }

    pub(super) fn neg(&mut self, wide: bool, dst: Register) {
        let value = self.register_as(dst, if wide { I64 } else { I32 });
        let result = self.builder.ins().ineg(value);
        self.set_zero_extended(dst, result);
    }

    pub(super) fn mov(&mut self, wide: bool, dst: Register, source: Source, sign_bits: u8) {
        let ty = if wide { I64 } else { I32 };
        let value = match source {
            Source::Constant(value) => {
                let value = if wide { value } else { u64::from(value as u32) };
                let value = self.constant(I64, value.cast_signed());
                return self.set(dst, value);
            }
            Source::Register(register) => register,
        };
        let narrow = match sign_bits {
            8 => I8,
            16 => I16,
            32 => I32,
            _ => ty,
        };
        let value = self.register_as(value, narrow);
        let value = if narrow == ty { value } else { self.builder.ins().sextend(ty, value) };
        self.set_zero_extended(dst, value);
    }

    pub(super) fn endian(&mut self, order: Order, width: SwapWidth, dst: Register) {
        let swapped = match order {
            Order::Swap => true,
            Order::ToBig => cfg!(target_endian = "little"),
            Order::ToLittle => cfg!(target_endian = "big"),
        };
        let ty = match width {
            SwapWidth::W16 => I16,
            SwapWidth::W32 => I32,
            SwapWidth::W64 => I64,
        };
        let value = self.register_as(dst, ty);
        let value = if swapped { self.builder.ins().bswap(value) } else { value };
        self.set_zero_extended(dst, value);
    }
}
