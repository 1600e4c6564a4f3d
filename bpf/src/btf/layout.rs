//! Size and alignment of types in BPF's own layout: pointers take 8 bytes.

use super::{Btf, Kind, MAX_DEPTH};

/// Bytes of a pointer in BPF code.
const POINTER: u32 = 8;

impl Btf {
    /// Size in bytes; `None` for functions, forward declarations, `void`, and for sizes that do not
    /// fit 32 bits.
    #[must_use]
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let mut id = id;
        let mut count = 1u32;
        for _ in 0..MAX_DEPTH {
            let t = self.type_by_id(id)?;
            match t.kind() {
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Datasec
                | Kind::Float => return count.checked_mul(t.size_or_type()),
                Kind::Ptr => return count.checked_mul(POINTER),
                Kind::Array => {
                    let array = t.array()?;
                    count = count.checked_mul(array.count)?;
                    id = array.element;
                }
                Kind::Fwd | Kind::Func | Kind::FuncProto => return None,
                Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Var
                | Kind::DeclTag
                | Kind::TypeTag => id = t.size_or_type(),
            }
        }
        None
    }

    /// Alignment in bytes, as the compiler chose it for BPF; `None` where [`Btf::size_of`] has no
    /// answer either.
    #[must_use]
    pub fn align_of(&self, id: u32) -> Option<u32> {
        // Structs nest by value only as deep as a programmer wrote them; the budget keeps a
        // hostile file, whose struct may hold 65,535 of the next, from taking for ever.
        self.align_within(id, MAX_DEPTH, &mut 1_000_000)
    }

    fn align_within(&self, id: u32, depth: usize, budget: &mut u32) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        *budget = budget.checked_sub(1)?;
        let t = self.type_by_id(id)?;
        match t.kind() {
            Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Float => {
                Some(t.size_or_type().clamp(1, POINTER))
            }
            Kind::Ptr => Some(POINTER),
            Kind::Array => self.align_within(t.array()?.element, depth, budget),
            kind if kind.is_modifier() => self.align_within(t.size_or_type(), depth, budget),
            Kind::Struct | Kind::Union => {
                let mut widest = 1;
                for member in t.members() {
                    let align = self.align_within(member.type_id, depth, budget)?;
                    widest = widest.max(align);
                    if member.bits == 0 && member.bit_offset % (8 * align) != 0 {
                        // Only a packed struct misaligns its fields.
                        return Some(1);
                    }
                }
                Some(if t.size_or_type() % widest == 0 { widest } else { 1 })
            }
            _ => None,
        }
    }
}
