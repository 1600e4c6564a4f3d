//! The form that the interpreter runs: one operation in 16 bytes, one number that says all.

use crate::userspace::vm::code::{
    AluOp, Condition, Function, Op, Order, Register, Size, Source, SwapWidth,
};
use crate::userspace::vm::semantics::ordered;

/// The frame pointer: what it points to is the stack, whatever the program does.
const FP: Register = 10;

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
        LoadStack1 LoadStack2 LoadStack4 LoadStack8
        StoreStack1 StoreStack2 StoreStack4 StoreStack8
        StoreStack1K StoreStack2K StoreStack4K StoreStack8K
        Jump Helper Exit Rare
        Return SumK SumKGt Move32Of2 Move32Of3 Extend32Of2 Extend32Of3
    }
}

pub(super) use families;

/// A register, in a form of which the compiler knows that it is below 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
pub(super) enum Name { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, R13, R14, R15 }

impl Name {
    #[rustfmt::skip]
    const ALL: [Self; 16] = [
        Self::R0, Self::R1, Self::R2, Self::R3, Self::R4, Self::R5, Self::R6, Self::R7,
        Self::R8, Self::R9, Self::R10, Self::R11, Self::R12, Self::R13, Self::R14, Self::R15,
    ];

    pub(super) const fn of(register: Register) -> Self {
        Self::ALL[(register & 15) as usize]
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// One operation, at the same index as its [`Op`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    pub(super) kind: Kind,
    /// Result, or the address's base.
    pub(super) dst: Name,
    /// Second operand.
    pub(super) src: Name,
    /// Third operand of fused operations.
    pub(super) third: Name,
    /// Jump target, or distance from the base.
    pub(super) off: i32,
    /// Second operand, if it is a constant.
    pub(super) constant: i32,
    /// What a jump costs in fuel: 0 forward. The upper half of a 64-bit constant.
    pub(super) cost: u32,
}

impl Dense {
    /// An operation of which the loop looks at the [`Op`].
    pub(super) const RARE: Self = Self {
        kind: Kind::Rare,
        dst: Name::R0,
        src: Name::R0,
        third: Name::R0,
        off: 0,
        constant: 0,
        cost: 0,
    };

    /// The second operand, sign-extended.
    #[inline(always)]
    pub(super) const fn operand(&self) -> u64 {
        self.constant as i64 as u64
    }

    /// The 64-bit constant.
    #[inline(always)]
    pub(super) const fn wide(&self) -> u64 {
        self.constant as u32 as u64 | (self.cost as u64) << 32
    }
}

/// One function.
#[derive(Clone, Debug)]
pub(crate) struct DenseFunction {
    /// One step for each operation.
    pub(super) single: Box<[Dense]>,
    /// The same, but that some steps do what follows them as well.
    pub(super) fused: Box<[Dense]>,
    /// See [`Function::stack`].
    pub(super) stack: u16,
    /// See [`Function::slots`].
    pub(super) slots: u32,
}

impl DenseFunction {
    /// The dense form of a function.
    pub(crate) fn new(function: &Function) -> Self {
        let single: Box<[Dense]> = (0..).zip(&function.ops).map(|(at, op)| dense(at, op)).collect();
        let fused = (0..single.len()).map(|at| super::fuse::fused(&single[at..])).collect();
        Self { single, fused, stack: function.stack, slots: function.slots }
    }

    /// What is run, with an observer or without.
    pub(super) fn ops(&self, observed: bool) -> &[Dense] {
        if observed { &self.single } else { &self.fused }
    }
}

const fn split(source: Source) -> (Name, i32, bool) {
    match source {
        Source::Register(register) => (Name::of(register), 0, false),
        // Constants of two-operand operations are sign-extended from 32 bits.
        Source::Constant(value) => (Name::R0, value as i32, true),
    }
}

const fn set(dst: Register, value: u64) -> Dense {
    let (constant, cost) = (value as i32, (value >> 32) as u32);
    Dense { kind: Kind::MoveK, dst: Name::of(dst), constant, cost, ..Dense::RARE }
}

/// What a jump costs: forward nothing, backward as many instructions as it may repeat.
const fn cost(at: u32, to: u32) -> u32 {
    if to <= at { at - to + 1 } else { 0 }
}

fn dense(at: u32, op: &Op) -> Dense {
    let rare = Dense::RARE;
    match *op {
        Op::Alu { wide, op, dst, source } => {
            let (src, constant, is_constant) = split(source);
            let kind = arithmetic(wide, op, is_constant);
            Dense { kind, dst: Name::of(dst), src, constant, ..rare }
        }
        Op::Neg { wide, dst } => {
            let kind = if wide { Kind::Neg64 } else { Kind::Neg32 };
            Dense { kind, dst: Name::of(dst), ..rare }
        }
        Op::Move { wide, dst, source: Source::Constant(value), .. } => {
            set(dst, if wide { value } else { u64::from(value as u32) })
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
            Dense { kind, dst: Name::of(dst), src: Name::of(src), ..rare }
        }
        Op::Endian { order, width, dst } => {
            Dense { kind: order_of_bytes(order, width), dst: Name::of(dst), ..rare }
        }
        Op::LoadImm { dst, value } => set(dst, value),
        Op::Load { dst, base, off, size, signed } => {
            let kind = load(size, signed, base);
            let (dst, src) = (Name::of(dst), Name::of(base));
            Dense { kind, dst, src, off: i32::from(off), ..rare }
        }
        Op::Store { base, off, size, source } => {
            let (src, constant, is_constant) = split(source);
            let kind = store(size, is_constant, base);
            Dense { kind, dst: Name::of(base), src, off: i32::from(off), constant, ..rare }
        }
        Op::Jump { to } => Dense { kind: Kind::Jump, off: to as i32, cost: cost(at, to), ..rare },
        Op::Branch { wide, cond, left, right, to } => {
            let (src, constant, is_constant) = split(right);
            let (kind, dst) = (branch(wide, cond, is_constant), Name::of(left));
            Dense { kind, dst, src, off: to as i32, constant, cost: cost(at, to), ..rare }
        }
        Op::Helper(number) => Dense { kind: Kind::Helper, constant: number as i32, ..rare },
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

const fn load(size: Size, signed: bool, base: Register) -> Kind {
    match (size, signed, base) {
        (Size::B, false, FP) => Kind::LoadStack1,
        (Size::H, false, FP) => Kind::LoadStack2,
        (Size::W, false, FP) => Kind::LoadStack4,
        (Size::D, _, FP) => Kind::LoadStack8,
        (Size::B, false, _) => Kind::Load1,
        (Size::H, false, _) => Kind::Load2,
        (Size::W, false, _) => Kind::Load4,
        (Size::B, true, _) => Kind::LoadSigned1,
        (Size::H, true, _) => Kind::LoadSigned2,
        (Size::W, true, _) => Kind::LoadSigned4,
        (Size::D, _, _) => Kind::Load8,
    }
}

const fn store(size: Size, constant: bool, base: Register) -> Kind {
    match (size, constant, base) {
        (Size::B, false, FP) => Kind::StoreStack1,
        (Size::H, false, FP) => Kind::StoreStack2,
        (Size::W, false, FP) => Kind::StoreStack4,
        (Size::D, false, FP) => Kind::StoreStack8,
        (Size::B, true, FP) => Kind::StoreStack1K,
        (Size::H, true, FP) => Kind::StoreStack2K,
        (Size::W, true, FP) => Kind::StoreStack4K,
        (Size::D, true, FP) => Kind::StoreStack8K,
        (Size::B, false, _) => Kind::Store1,
        (Size::H, false, _) => Kind::Store2,
        (Size::W, false, _) => Kind::Store4,
        (Size::D, false, _) => Kind::Store8,
        (Size::B, true, _) => Kind::Store1K,
        (Size::H, true, _) => Kind::Store2K,
        (Size::W, true, _) => Kind::Store4K,
        (Size::D, true, _) => Kind::Store8K,
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
