//! Numbers as ranges, pointers with the range of their offset.

use super::super::places::Kinds;
use crate::module::MapId;

/// Numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The least.
    pub low: u64,
    /// The greatest.
    pub high: u64,
}

/// Offsets from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The least.
    pub low: i64,
    /// The greatest.
    pub high: i64,
}

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Nothing was written yet, or a call destroyed it.
    Unset,
    /// A number.
    Number(Range),
    /// The context.
    Context,
    /// A pointer into the packet, so far from its start.
    Packet(Span),
    /// The packet's end.
    PacketEnd,
    /// A pointer to the metadata before the packet.
    Metadata,
    /// A pointer to the stack of a live frame (0: the program's), so far from its top.
    Stack {
        /// The frame.
        frame: u8,
        /// Bytes from its top.
        at: Span,
    },
    /// A map; `None` for one that the module does not name, or one of several.
    Map(Option<MapId>),
    /// A pointer into the value of a map, so far from its start.
    MapValue {
        /// The map, where it is one that the module names.
        map: Option<MapId>,
        /// Bytes from the value's start.
        at: Span,
        /// Null unless compared.
        null: bool,
    },
    /// A function's address.
    Function,
    /// A pointer to something else: memory that a global function was handed.
    Other,
    /// One of several of these, by ways.
    Mixed(Kinds),
}

/// Offsets beyond this are not followed.
const FAR: i64 = 1 << 40;

impl Range {
    /// Any number.
    pub const ALL: Self = Self { low: 0, high: u64::MAX };
    /// Any number of 32 bits.
    pub const WORD: Self = Self { low: 0, high: u32::MAX as u64 };

    /// One number.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self { low: number, high: number }
    }

    /// The number, where it is one.
    #[must_use]
    pub const fn constant(self) -> Option<u64> {
        if self.low == self.high { Some(self.low) } else { None }
    }

    /// Numbers of so many lower bits.
    pub(super) const fn bits(bits: u32) -> Self {
        Self { low: 0, high: if bits >= 64 { u64::MAX } else { (1 << bits) - 1 } }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(super) fn both(self, other: Self) -> Option<Self> {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (both.low <= both.high).then_some(both)
    }

    /// What grows from `self` to `other` goes on to the next round number, so that loops end.
    fn widened(self, other: Self) -> Self {
        let up = |high: u64| {
            let round = [0xff, 0xffff, 0xffff_ffff >> 1, 0xffff_ffff];
            round.into_iter().find(|&r| r >= high).unwrap_or(u64::MAX)
        };
        Self {
            low: if other.low < self.low { 0 } else { self.low },
            high: if other.high > self.high { up(other.high) } else { self.high },
        }
    }
}

impl Span {
    /// Anywhere.
    pub const ALL: Self = Self { low: -FAR, high: FAR };

    /// One offset.
    #[must_use]
    pub const fn exactly(offset: i64) -> Self {
        Self { low: offset, high: offset }
    }

    /// The offset, where it is one.
    #[must_use]
    pub const fn constant(self) -> Option<i64> {
        if self.low == self.high { Some(self.low) } else { None }
    }

    /// Moved by a constant.
    #[must_use]
    pub const fn moved(self, by: i64) -> Self {
        if self.low <= -FAR || self.high >= FAR || by <= -FAR || by >= FAR {
            return Self::ALL;
        }
        Self { low: self.low + by, high: self.high + by }
    }

    /// Moved by numbers, read as signed.
    pub(super) fn plus(self, by: Range) -> Self {
        if let Some(by) = by.constant() {
            return self.moved(by as i64);
        }
        let far = FAR as u64;
        if by.high >= far || self.low <= -FAR || self.high >= FAR {
            return Self::ALL;
        }
        let sum = Self { low: self.low + by.low as i64, high: self.high + by.high as i64 };
        if sum.high >= FAR { Self::ALL } else { sum }
    }

    fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn met(self, other: Self, widen: bool) -> Self {
        if widen && self != other { Self::ALL } else { self.union(other) }
    }
}

impl Value {
    /// Any number.
    pub const ANY: Self = Self::Number(Range::ALL);

    /// One number.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self::Number(Range::exactly(number))
    }

    /// The numbers it may be; all of them for what is no number.
    #[must_use]
    pub const fn range(self) -> Range {
        match self {
            Self::Number(range) => range,
            _ => Range::ALL,
        }
    }

    /// Which kinds it may be.
    #[must_use]
    pub const fn kinds(self) -> Kinds {
        match self {
            Self::Unset => Kinds::empty(),
            Self::Number(_) => Kinds::SCALAR,
            Self::Context => Kinds::CONTEXT,
            Self::Packet(_) => Kinds::PACKET,
            Self::PacketEnd => Kinds::PACKET_END,
            Self::Metadata => Kinds::METADATA,
            Self::Stack { .. } => Kinds::STACK,
            Self::Map(_) => Kinds::MAP,
            Self::MapValue { .. } => Kinds::MAP_VALUE,
            Self::Function => Kinds::FUNCTION,
            Self::Other => Kinds::OTHER,
            Self::Mixed(kinds) => kinds,
        }
    }

    /// The least value that covers both; with `widen`, one that grows no more than a few times.
    pub(super) fn join(self, other: Self, widen: bool) -> Self {
        if self == other || other == Self::Unset {
            return self;
        }
        match (self, other) {
            (Self::Unset, other) => other,
            (Self::Number(a), Self::Number(b)) => {
                Self::Number(if widen { a.widened(b) } else { a.union(b) })
            }
            (Self::Packet(a), Self::Packet(b)) => Self::Packet(a.met(b, widen)),
            (Self::Stack { frame: f, at: a }, Self::Stack { frame: g, at: b }) if f == g => {
                Self::Stack { frame: f, at: a.met(b, widen) }
            }
            (Self::Map(_), Self::Map(_)) => Self::Map(None),
            (
                Self::MapValue { map: m, at: a, null: x },
                Self::MapValue { map: n, at: b, null: y },
            ) => Self::MapValue {
                map: if m == n { m } else { None },
                at: a.met(b, widen),
                null: x || y,
            },
            // What was looked up and not found is a null pointer still.
            (Self::MapValue { map, at, .. }, Self::Number(zero))
            | (Self::Number(zero), Self::MapValue { map, at, .. })
                if zero == Range::exactly(0) =>
            {
                Self::MapValue { map, at, null: true }
            }
            _ => Self::Mixed(self.kinds() | other.kinds()),
        }
    }
}
