//! What a register or stack slot may hold: the lattice of the abstract interpretation.

/// Where a scalar's value may come from besides the constants that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rest {
    /// Nowhere: the list is complete, and the verifier knows it too.
    Closed,
    /// Nowhere, but the verifier does not know: a helper's documented results, a global function's.
    /// Branches on such a value are never taken for decided.
    Opaque,
    /// Anywhere.
    Any,
}

/// "No particular one" for map ids and offsets.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// A stack offset that is not known.
pub(super) const NO_OFFSET: i32 = i32::MIN;

/// An abstract value.
#[expect(clippy::enum_variant_names, reason = "a map's value is called a map value")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// Nothing was written yet, or a call destroyed it.
    Unset,
    /// One constant.
    Const(u64),
    /// Some of the constants 0..=63 (one bit each) that flow here literally, and perhaps more.
    Scalar { small: u64, rest: Rest },
    /// The program's context.
    Ctx,
    /// A pointer into the packet.
    Packet,
    /// The packet's end.
    PacketEnd,
    /// A pointer to the metadata before the packet.
    Meta,
    /// A pointer to a byte of a live frame's stack: offset from its top, at most 0.
    Stack { frame: u8, offset: i32 },
    /// A map, or [`UNKNOWN`] for one that the module does not name.
    Map(u32),
    /// One of several maps: a bit for each, see [`map_bit`].
    Maps(u64),
    /// A pointer into a map's value, possibly null.
    MapValue { map: u32, offset: u32 },
    /// A function's address.
    Func(u32),
    /// On the stack only: the upper half of the pointer below.
    Upper,
    /// Several of the above: bits of [`kind`].
    Mixed(u16),
}

/// Bits of [`Value::Mixed`].
pub(super) mod kind {
    pub(in crate::analysis) const SCALAR: u16 = 1;
    pub(in crate::analysis) const CTX: u16 = 1 << 1;
    pub(in crate::analysis) const PACKET: u16 = 1 << 2;
    pub(in crate::analysis) const PACKET_END: u16 = 1 << 3;
    pub(in crate::analysis) const META: u16 = 1 << 4;
    pub(in crate::analysis) const STACK: u16 = 1 << 5;
    pub(in crate::analysis) const MAP: u16 = 1 << 6;
    pub(in crate::analysis) const MAP_VALUE: u16 = 1 << 7;
    pub(in crate::analysis) const FUNC: u16 = 1 << 8;
}

impl Value {
    /// A scalar of which nothing is known.
    pub(super) const ANY: Self = Self::Scalar { small: 0, rest: Rest::Any };

    /// Which kinds it may be.
    pub(super) const fn kinds(self) -> u16 {
        match self {
            Self::Unset | Self::Upper => 0,
            Self::Const(_) | Self::Scalar { .. } => kind::SCALAR,
            Self::Ctx => kind::CTX,
            Self::Packet => kind::PACKET,
            Self::PacketEnd => kind::PACKET_END,
            Self::Meta => kind::META,
            Self::Stack { .. } => kind::STACK,
            Self::Map(_) | Self::Maps(_) => kind::MAP,
            Self::MapValue { .. } => kind::MAP_VALUE,
            Self::Func(_) => kind::FUNC,
            Self::Mixed(bits) => bits,
        }
    }

    /// A number or a pointer of one of these kinds.
    pub(super) const fn number_or(kinds: u16) -> Self {
        if kinds & !kind::SCALAR == 0 { Self::ANY } else { Self::Mixed(kinds | kind::SCALAR) }
    }

    /// Whether it is a pointer or map and cannot be a number.
    pub(super) const fn is_pointer(self) -> bool {
        let kinds = self.kinds();
        kinds != 0 && kinds & kind::SCALAR == 0
    }

    /// The maps it may be, as bits of [`map_bit`]; 0 for what is no map.
    pub(super) const fn map_bits(self) -> u64 {
        match self {
            Self::Map(map) => map_bit(map),
            Self::Maps(set) => set,
            Self::Mixed(kinds) if kinds & kind::MAP != 0 => u64::MAX,
            _ => 0,
        }
    }

    /// The scalar as a set: listed constants and what else there may be; `None` for other kinds.
    pub(super) const fn scalar(self) -> Option<(u64, Rest)> {
        match self {
            Self::Const(c) if c < 64 => Some((1 << c, Rest::Closed)),
            Self::Const(_) => Some((0, Rest::Any)),
            Self::Scalar { small, rest } => Some((small, rest)),
            _ => None,
        }
    }

    /// The least value that covers both.
    pub(super) fn join(self, other: Self) -> Self {
        if self == other || other == Self::Unset {
            return self;
        }
        match (self, other) {
            (Self::Unset, v) => v,
            (Self::Stack { frame: a, .. }, Self::Stack { frame: b, .. }) if a == b => {
                Self::Stack { frame: a, offset: NO_OFFSET }
            }
            (Self::Map(_) | Self::Maps(_), Self::Map(_) | Self::Maps(_)) => {
                Self::Maps(self.map_bits() | other.map_bits())
            }
            (Self::MapValue { map: a, .. }, Self::MapValue { map: b, .. }) => {
                Self::MapValue { map: if a == b { a } else { UNKNOWN }, offset: UNKNOWN }
            }
            _ => match (self.scalar(), other.scalar()) {
                (Some((a, x)), Some((b, y))) => Self::Scalar { small: a | b, rest: x.max(y) },
                _ => Self::Mixed(self.kinds() | other.kinds()),
            },
        }
    }

    /// The value with everything forgotten that could change once more in every round of a loop.
    pub(super) fn widened(self) -> Self {
        match self {
            Self::Const(_) | Self::Scalar { .. } => {
                let small = self.scalar().map_or(0, |(small, _)| small);
                Self::Scalar { small, rest: Rest::Any }
            }
            Self::Stack { frame, .. } => Self::Stack { frame, offset: NO_OFFSET },
            Self::MapValue { map, .. } => Self::MapValue { map, offset: UNKNOWN },
            v => v,
        }
    }

    /// Applies a function to a scalar's constants; what it cannot compute or list becomes "any".
    /// Of a scalar that may be anything nothing is left, so that counting in a loop ends.
    pub(super) fn map_scalar(self, op: impl Fn(u64) -> Option<u64>) -> Self {
        match self {
            Self::Const(c) => op(c).map_or(Self::ANY, Self::Const),
            Self::Scalar { small, rest } if rest != Rest::Any => {
                let (mut out, mut rest) = (0, rest);
                for c in bits(small) {
                    match op(c) {
                        Some(v) if v < 64 => out |= 1 << v,
                        _ => rest = Rest::Any,
                    }
                }
                Self::Scalar { small: out, rest }
            }
            _ => Self::ANY,
        }
    }
}

/// The bit of a map in a set. The last one stands for all maps from 63 on, and for maps that the
/// module does not name.
pub(super) const fn map_bit(map: u32) -> u64 {
    1 << if map < LAST_MAP { map } else { LAST_MAP }
}

/// See [`map_bit`].
pub(super) const LAST_MAP: u32 = 63;

/// The numbers of the bits that are set.
pub(super) fn bits(mut set: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(u64::from(bit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_keep_constants_apart_from_the_unknown() {
        let one_or_two = Value::Const(1).join(Value::Const(2));
        assert_eq!(one_or_two, Value::Scalar { small: 0b110, rest: Rest::Closed });
        let open = one_or_two.join(Value::ANY);
        assert_eq!(open, Value::Scalar { small: 0b110, rest: Rest::Any });
        assert_eq!(Value::Const(1).join(Value::Const(99)).scalar(), Some((0b10, Rest::Any)));
    }

    #[test]
    fn joins_of_different_kinds_remember_each() {
        let v = Value::Ctx.join(Value::Packet).join(Value::Const(0));
        assert_eq!(v.kinds(), kind::CTX | kind::PACKET | kind::SCALAR);
        assert_eq!(Value::Map(1).join(Value::Map(2)), Value::Maps(0b110));
        assert_eq!(Value::Maps(0b110).join(Value::Map(UNKNOWN)), Value::Maps(1 << 63 | 0b110));
        assert_eq!(Value::Unset.join(Value::Ctx), Value::Ctx);
    }

    #[test]
    fn join_is_a_semilattice_and_widening_goes_up() {
        let all = [
            Value::Unset,
            Value::Const(3),
            Value::Const(1 << 40),
            Value::Scalar { small: 6, rest: Rest::Opaque },
            Value::Ctx,
            Value::Stack { frame: 0, offset: -8 },
            Value::Stack { frame: 1, offset: -8 },
            Value::MapValue { map: 1, offset: 4 },
            Value::Map(0),
            Value::Map(70),
            Value::Maps(0b110),
            Value::Upper,
            Value::Mixed(kind::CTX | kind::SCALAR),
        ];
        for a in all {
            assert_eq!(a.join(a), a);
            assert_eq!(a.widened().join(a), a.widened(), "{a:?}");
            for b in all {
                assert_eq!(a.join(b), b.join(a));
                let top = a.join(b);
                assert_eq!(top.join(b), top, "{a:?} {b:?}");
                for c in all {
                    assert_eq!(a.join(b).join(c).kinds(), a.join(b.join(c)).kinds());
                }
            }
        }
    }
}
