//! The form that the interpreter runs: one operation in 16 bytes, one number that says all.

use crate::userspace::vm::code::{
    AluOp, Condition, Function, Op, Order, Register, Size, Source, SwapWidth,
};
use crate::userspace::vm::semantics::ordered;

/// Calls a macro with the families of operations that differ only in what they compute: arithmetic
/// and comparisons, each on 64 bits with a register and with a constant, and on 32 bits likewise.
macro_rules! families {
    ($callback:ident { $($rest:tt)* }) => {
        $callback! {
            alu {
                Add: Add64 Add64K Add32 Add32K,
                Sub: Sub64 Sub64K Sub32 Sub32K,
                Mul: Mul64 Mul64K Mul32 Mul32K,
                Div: Div64 Div64K Div32 Div32K,
                SignedDiv: SignedDiv64 SignedDiv64K SignedDiv32 SignedDiv32K,
                Mod: Mod64 Mod64K Mod32 Mod32K,
                SignedMod: SignedMod64 SignedMod64K SignedMod32 SignedMod32K,
                Or: Or64 Or64K Or32 Or32K,
                And: And64 And64K And32 And32K,
                Xor: Xor64 Xor64K Xor32 Xor32K,
                Lsh: Lsh64 Lsh64K Lsh32 Lsh32K,
                Rsh: Rsh64 Rsh64K Rsh32 Rsh32K,
                Arsh: Arsh64 Arsh64K Arsh32 Arsh32K,
            }
            branch {
                Eq: Eq64 Eq64K Eq32 Eq32K,
                Ne: Ne64 Ne64K Ne32 Ne32K,
                Gt: Gt64 Gt64K Gt32 Gt32K,
                Ge: Ge64 Ge64K Ge32 Ge32K,
                Lt: Lt64 Lt64K Lt32 Lt32K,
                Le: Le64 Le64K Le32 Le32K,
                Set: Set64 Set64K Set32 Set32K,
                SignedGt: SignedGt64 SignedGt64K SignedGt32 SignedGt32K,
                SignedGe: SignedGe64 SignedGe64K SignedGe32 SignedGe32K,
                SignedLt: SignedLt64 SignedLt64K SignedLt32 SignedLt32K,
                SignedLe: SignedLe64 SignedLe64K SignedLe32 SignedLe32K,
            }
            $($rest)*
        }
    };
}

macro_rules! kinds {
    (
        alu { $($alu:ident: $a64:ident $a64k:ident $a32:ident $a32k:ident,)* }
        branch { $($cond:ident: $b64:ident $b64k:ident $b32:ident $b32k:ident,)* }
        $($other:ident)*
    ) => {
        /// What a [`Dense`] operation does. The suffix says the width of arithmetic and comparisons,
        /// or the bytes of an access; `K`, that the second operand is the constant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind {
            $($a64, $a64k, $a32, $a32k,)*
            $($b64, $b64k, $b32, $b32k,)*
            $($other,)*
        }

        const fn arithmetic(wide: bool, op: AluOp, constant: bool) -> Kind {
            match (op, wide, constant) {
                $(
                    (AluOp::$alu, true, false) => Kind::$a64,
                    (AluOp::$alu, true, true) => Kind::$a64k,
                    (AluOp::$alu, false, false) => Kind::$a32,
                    (AluOp::$alu, false, true) => Kind::$a32k,
                )*
            }
        }

        const fn branch(wide: bool, cond: Condition, constant: bool) -> Kind {
            match (cond, wide, constant) {
                $(
                    (Condition::$cond, true, false) => Kind::$b64,
                    (Condition::$cond, true, true) => Kind::$b64k,
                    (Condition::$cond, false, false) => Kind::$b32,
                    (Condition::$cond, false, true) => Kind::$b32k,
                )*
            }
        }
    };
}

families! {
    kinds {
        Neg64 Neg32
        Move64 MoveK Move32 Extend8 Extend16 Extend32 Extend8To32 Extend16To32
        Swap16 Swap32 Swap64 Cut16 Cut32 Nothing
        Load1 Load2 Load4 Load8 LoadSigned1 LoadSigned2 LoadSigned4
        Store1 Store2 Store4 Store8 Store1K Store2K Store4K Store8K
        Jump Helper Exit Rare
    }
}

pub(super) use families;

/// One operation, at the same index as its [`Op`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    pub(super) kind: Kind,
    /// Result, or the address's base.
    pub(super) dst: Register,
    /// Second operand.
    pub(super) src: Register,
    /// Jump target, or distance from the base.
    pub(super) off: i32,
    /// Second operand, if it is a constant.
    pub(super) constant: u64,
}

/// One function.
#[derive(Clone, Debug)]
pub(crate) struct DenseFunction {
    pub(super) ops: Box<[Dense]>,
}

impl DenseFunction {
    /// The dense form of a function.
    pub(crate) fn new(function: &Function) -> Self {
        Self { ops: function.ops.iter().map(dense).collect() }
    }
}

const fn split(source: Source) -> (Register, u64, bool) {
    match source {
        Source::Register(register) => (register, 0, false),
        Source::Constant(value) => (0, value, true),
    }
}

fn dense(op: &Op) -> Dense {
    let rare = Dense { kind: Kind::Rare, dst: 0, src: 0, off: 0, constant: 0 };
    match *op {
        Op::Alu { wide, op, dst, source } => {
            let (src, constant, is_constant) = split(source);
            Dense { kind: arithmetic(wide, op, is_constant), dst, src, constant, ..rare }
        }
        Op::Neg { wide, dst } => {
            Dense { kind: if wide { Kind::Neg64 } else { Kind::Neg32 }, dst, ..rare }
        }
        Op::Move { wide, dst, source: Source::Constant(value), .. } => {
            let constant = if wide { value } else { u64::from(value as u32) };
            Dense { kind: Kind::MoveK, dst, constant, ..rare }
        }
        Op::Move { wide, dst, source: Source::Register(src), sign_bits } => {
            let kind = match (sign_bits, wide) {
                (8, true) => Kind::Extend8,
                (16, true) => Kind::Extend16,
                (32, true) => Kind::Extend32,
                (8, false) => Kind::Extend8To32,
                (16, false) => Kind::Extend16To32,
                (_, true) => Kind::Move64,
                (_, false) => Kind::Move32,
            };
            Dense { kind, dst, src, ..rare }
        }
        Op::Endian { order, width, dst } => {
            Dense { kind: order_of_bytes(order, width), dst, ..rare }
        }
        Op::LoadImm { dst, value } => Dense { kind: Kind::MoveK, dst, constant: value, ..rare },
        Op::Load { dst, base, off, size, signed } => {
            let kind = match (size, signed) {
                (Size::B, false) => Kind::Load1,
                (Size::H, false) => Kind::Load2,
                (Size::W, false) => Kind::Load4,
                (Size::B, true) => Kind::LoadSigned1,
                (Size::H, true) => Kind::LoadSigned2,
                (Size::W, true) => Kind::LoadSigned4,
                (Size::D, _) => Kind::Load8,
            };
            Dense { kind, dst, src: base, off: i32::from(off), ..rare }
        }
        Op::Store { base, off, size, source } => {
            let (src, constant, is_constant) = split(source);
            let kind = match (size, is_constant) {
                (Size::B, false) => Kind::Store1,
                (Size::H, false) => Kind::Store2,
                (Size::W, false) => Kind::Store4,
                (Size::D, false) => Kind::Store8,
                (Size::B, true) => Kind::Store1K,
                (Size::H, true) => Kind::Store2K,
                (Size::W, true) => Kind::Store4K,
                (Size::D, true) => Kind::Store8K,
            };
            Dense { kind, dst: base, src, off: i32::from(off), constant }
        }
        Op::Jump { to } => Dense { kind: Kind::Jump, off: to as i32, ..rare },
        Op::Branch { wide, cond, left, right, to } => {
            let (src, constant, is_constant) = split(right);
            let kind = branch(wide, cond, is_constant);
            Dense { kind, dst: left, src, off: to as i32, constant }
        }
        Op::Helper(number) => Dense { kind: Kind::Helper, constant: u64::from(number), ..rare },
        Op::Exit => Dense { kind: Kind::Exit, ..rare },
        Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::MayGoto { .. }
        | Op::Call(_)
        | Op::TailCall
        | Op::Kfunc(_)
        | Op::Invalid(_) => rare,
    }
}

/// Byte-order operations as this host does them.
const fn order_of_bytes(order: Order, width: SwapWidth) -> Kind {
    // What it makes of a number tells whether it swaps here.
    let swaps = ordered(order, width, 1) != 1;
    match (width, swaps) {
        (SwapWidth::W16, true) => Kind::Swap16,
        (SwapWidth::W32, true) => Kind::Swap32,
        (SwapWidth::W64, true) => Kind::Swap64,
        (SwapWidth::W16, false) => Kind::Cut16,
        (SwapWidth::W32, false) => Kind::Cut32,
        (SwapWidth::W64, false) => Kind::Nothing,
    }
}
