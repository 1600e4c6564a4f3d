//! How much of its stack a function is seen to use.

use super::{AluOp, Op, Source};
use crate::userspace::vm::address::STACK_FRAME;

/// The frame pointer.
const FP: u8 = 10;

/// Bytes below `r10` that are addressed by constants: directly, or by a copy of `r10` to which the
/// next operation adds one. Any other use of `r10` may reach anything.
pub(super) fn used(ops: &[Op]) -> u16 {
    let mut lowest: i64 = 0;
    for (at, op) in ops.iter().enumerate() {
        let reach = match *op {
            Op::Load { base: FP, off, .. }
            | Op::Store { base: FP, off, source: Source::Constant(_), .. }
            | Op::LoadAcquire { base: FP, off, .. } => i64::from(off),
            Op::Store { base: FP, off, source: Source::Register(src), .. }
            | Op::StoreRelease { base: FP, off, src, .. }
            | Op::Atomic { base: FP, off, src, .. } => {
                if src == FP {
                    i64::MIN
                } else {
                    i64::from(off)
                }
            }
            Op::Move { wide: true, dst, source: Source::Register(FP), sign_bits: 0 } => {
                match ops.get(at + 1) {
                    Some(&Op::Alu {
                        wide: true,
                        op: AluOp::Add,
                        dst: sum,
                        source: Source::Constant(distance),
                    }) if sum == dst => distance as i64,
                    _ => i64::MIN,
                }
            }
            Op::Move { source: Source::Register(FP), .. }
            | Op::Alu { source: Source::Register(FP), .. }
            | Op::Store { source: Source::Register(FP), .. }
            | Op::StoreRelease { src: FP, .. }
            | Op::Atomic { src: FP, .. } => i64::MIN,
            _ => 0,
        };
        lowest = lowest.min(reach);
    }
    // Beyond the frame is a fault when it happens.
    let used = lowest.unsigned_abs().min(STACK_FRAME);
    (used as u16).next_multiple_of(8)
}
