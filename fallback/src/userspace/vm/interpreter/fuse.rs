//! Sequences that compilers write all the time, done in one step.
//!
//! The step stands at the index of the first operation and goes on behind the last. The others stay
//! where they are, for jumps to them.

use super::dense::{Dense, Kind, Name};

/// The step for the operations that begin here.
pub(super) fn fused(ops: &[Dense]) -> Dense {
    let Some(&first) = ops.first() else { return Dense::RARE };
    let kind = |at: usize| ops.get(at).map(|op| op.kind);
    let same = |at: usize| ops.get(at).is_some_and(|op| op.dst == first.dst);
    let by = |at: usize, constant: i32| same(at) && ops[at].constant == constant;
    match first.kind {
        // The verdict.
        Kind::MoveK if first.dst == Name::R0 && kind(1) == Some(Kind::Exit) => {
            Dense { kind: Kind::Return, ..first }
        }
        // An address behind a header, and whether it is behind the frame's end.
        Kind::Move64 if kind(1) == Some(Kind::Add64K) && same(1) => {
            let distance = ops[1].constant;
            if kind(2) == Some(Kind::Gt64) && same(2) {
                let (kind, third) = (Kind::SumKGt, ops[2].src);
                return Dense { kind, src: first.src, third, constant: distance, ..ops[2] };
            }
            Dense { kind: Kind::SumK, constant: distance, ..first }
        }
        // Clearing the upper half, or filling it with the sign, without 32-bit operations (-mcpu=v2).
        Kind::Move64 if kind(1) == Some(Kind::Lsh64K) && by(1, 32) && by(2, 32) => match kind(2) {
            Some(Kind::Rsh64K) => Dense { kind: Kind::Move32Of3, ..first },
            Some(Kind::Arsh64K) => Dense { kind: Kind::Extend32Of3, ..first },
            _ => first,
        },
        Kind::Lsh64K if first.constant == 32 && by(1, 32) => match kind(1) {
            Some(Kind::Rsh64K) => Dense { kind: Kind::Move32Of2, src: first.dst, ..first },
            Some(Kind::Arsh64K) => Dense { kind: Kind::Extend32Of2, src: first.dst, ..first },
            _ => first,
        },
        _ => first,
    }
}
