//! What a type is once typedefs and qualifiers are looked through.

use super::super::{Btf, Kind, Type};

/// Typedefs that say that a number is in network byte order.
const NETWORK_ORDER: [&str; 5] = ["__be16", "__be32", "__be64", "in_addr_t", "in_port_t"];

/// A type without its modifiers.
#[derive(Clone, Copy)]
pub(super) struct Shape<'b> {
    pub(super) ty: Type<'b>,
    /// Whether a typedef on the way said that it is in network order.
    pub(super) network: bool,
}

impl<'b> Shape<'b> {
    /// Looks through modifiers and variables; `None` for what has no values.
    pub(super) fn of(btf: &'b Btf, type_id: u32) -> Option<Self> {
        let (mut id, mut network) = (type_id, false);
        for _ in 0..super::DEPTH {
            let ty = btf.type_by_id(id)?;
            match ty.kind() {
                Kind::Typedef => network |= NETWORK_ORDER.contains(&ty.name()),
                kind if kind.is_modifier() || kind == Kind::Var => {}
                _ => return Some(Self { ty, network }),
            }
            id = ty.size_or_type();
        }
        None
    }

    /// A struct of a prefix length and an address, as prefix tries have for keys: the ids and byte
    /// ranges of both.
    pub(super) fn prefix(self, btf: &Btf) -> Option<(u32, std::ops::Range<usize>)> {
        let mut members = self.ty.members();
        let (length, address) = (members.next()?, members.next()?);
        let plain = length.bits == 0 && address.bits == 0 && members.next().is_none();
        let (at, size) = (address.bit_offset as usize / 8, btf.size_of(address.type_id)? as usize);
        let fits = length.bit_offset == 0 && btf.size_of(length.type_id)? == 4 && at == 4;
        (plain && fits && matches!(size, 4 | 16)).then_some((length.type_id, at..at + size))
    }
}

/// For arrays of this element: whether its bytes are characters; `None` when they are not bytes.
pub(super) fn is_text(btf: &Btf, element: u32) -> Option<bool> {
    let ty = Shape::of(btf, element)?.ty;
    let int = ty.int()?;
    // Compilers set no flag that tells characters from other bytes.
    (int.size == 1 && !int.bool).then(|| ty.name() == "char")
}
