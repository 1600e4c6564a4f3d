//! What is known of a number.

use hoist_bpf::module::MapId;

/// Unsigned numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Range {
    /// Every number.
    pub(super) const ALL: Self = Self { low: 0, high: u64::MAX };
    /// Every number of 32 bits.
    pub(super) const WORD: Self = Self { low: 0, high: u32::MAX as u64 };

    pub(super) const fn exactly(value: u64) -> Self {
        Self { low: value, high: value }
    }

    /// Numbers of so many bits.
    pub(super) const fn bits(bits: u32) -> Self {
        Self { low: 0, high: u64::MAX >> (64 - bits) }
    }

    pub(super) const fn constant(self) -> Option<u64> {
        if self.low == self.high { Some(self.low) } else { None }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// What both allow; `None` where nothing does.
    pub(super) fn both(self, other: Self) -> Option<Self> {
        let met = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (met.low <= met.high).then_some(met)
    }

    /// The union, moved out to round numbers where it grew, so that loops come to an end.
    pub(super) fn widened(self, other: Self) -> Self {
        const HIGH: [u64; 6] = [1 << 8, 1 << 16, 1 << 33, 1 << 40, 1 << 62, u64::MAX];
        let low = if other.low < self.low { 0 } else { self.low };
        let above = |high: &&u64| **high >= other.high;
        let high = if other.high > self.high {
            HIGH.iter().find(above).copied().unwrap_or(u64::MAX)
        } else {
            self.high
        };
        Self { low, high }
    }
}

/// A value of a map may be null as long as nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    /// It is not.
    No,
    /// It may be; values with the same number are null together.
    Maybe(u32),
}

/// What a register or a slot of the stack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of which nothing else is known. It may happen to be an address.
    Number(Range),
    /// An address in the frame or near it: `data`, plus a number that [`super::state::Base`] knows
    /// of, plus a distance.
    Frame {
        /// Which base.
        base: u32,
        /// The distance.
        off: i64,
    },
    /// `data_end`.
    End,
    /// The context, and a distance.
    Context(i64),
    /// The function's own `r10`, and a distance between two.
    Stack {
        /// The least distance.
        low: i64,
        /// The greatest.
        high: i64,
    },
    /// Somewhere on the stack.
    OuterStack,
    /// A value of a map that lives, and a distance from its start.
    Map {
        /// Which map.
        map: MapId,
        /// Distances.
        at: Range,
        /// Whether there is a value at all.
        null: Null,
    },
    /// A map as such.
    Handle(MapId),
}

impl Value {
    pub(super) const UNKNOWN: Self = Self::Number(Range::ALL);

    pub(super) const fn exactly(value: u64) -> Self {
        Self::Number(Range::exactly(value))
    }

    /// As a number: addresses can be anything.
    pub(super) const fn range(self) -> Range {
        match self {
            Self::Number(range) => range,
            _ => Range::ALL,
        }
    }

    /// Whether a store through it may change the function's own stack.
    pub(super) const fn may_be_stack(self) -> bool {
        match self {
            Self::Number(range) => range.high >= crate::userspace::vm::address::STACK - (1 << 15),
            Self::OuterStack | Self::Stack { .. } => true,
            Self::Frame { .. }
            | Self::End
            | Self::Context(_)
            | Self::Map { .. }
            | Self::Handle(_) => false,
        }
    }
}
