//! What number a relocation puts into its instruction.

use super::spec::Spec;
use super::{Kind, Problem};
use crate::btf::{Btf, Kind as BtfKind, Type};

/// The outcome of one relocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The instruction cannot work on this kernel.
    pub(super) poison: bool,
    /// What the instruction must hold now; `None` when the compiler's choice is not known.
    pub(super) expected: Option<u64>,
    pub(super) new: u64,
    /// Bytes accessed before and after, for loads and stores; 0 where that means nothing.
    pub(super) old_size: u32,
    pub(super) new_size: u32,
    /// Loads and stores of another size would read something wrong.
    pub(super) size_is_fixed: bool,
}

impl Answer {
    pub(super) fn local_id(id: u32) -> Self {
        Self { new: u64::from(id), ..Self::default() }
    }

    fn poisoned() -> Self {
        Self { poison: true, ..Self::default() }
    }

    pub(super) fn same_decision(&self, other: &Self) -> bool {
        (self.poison, self.new) == (other.poison, other.new)
    }
}

/// The answer for the local path and, if the kernel has it, the same path there.
pub(super) fn answer(
    kind: Kind,
    local: &Spec<'_>,
    target: Option<&Spec<'_>>,
) -> Result<Answer, Problem> {
    let exists = u64::from(target.is_some());
    match kind {
        Kind::FieldExists | Kind::EnumvalExists | Kind::TypeExists | Kind::TypeMatches => {
            Ok(Answer { expected: Some(1), new: exists, ..Answer::default() })
        }
        Kind::TypeIdLocal => Ok(Answer::local_id(local.root)),
        Kind::TypeIdTarget => {
            Ok(Answer { new: target.map_or(0, |t| u64::from(t.root)), ..Answer::default() })
        }
        Kind::TypeSize => {
            let new = target.map_or(Ok(0), size_of_root)?;
            Ok(Answer { expected: Some(size_of_root(local)?), new, ..Answer::default() })
        }
        Kind::EnumvalValue => {
            let expected = Some(enumerator(local)?);
            match target {
                None => Ok(Answer::poisoned()),
                Some(t) => Ok(Answer { expected, new: enumerator(t)?, ..Answer::default() }),
            }
        }
        _ => {
            let old = field(kind, local)?;
            let Some(target) = target else { return Ok(Answer::poisoned()) };
            let new = field(kind, target)?;
            Ok(Answer {
                poison: false,
                expected: old.certain.then_some(old.value),
                new: new.value,
                old_size: old.size,
                new_size: new.size,
                size_is_fixed: old.size != new.size
                    && !resizable(local.btf, old.type_id, target.btf, new.type_id),
            })
        }
    }
}

fn size_of_root(spec: &Spec<'_>) -> Result<u64, Problem> {
    spec.btf.size_of(spec.root).map(u64::from).ok_or("the type has no size")
}

fn enumerator(spec: &Spec<'_>) -> Result<u64, Problem> {
    let step = spec.steps.first().ok_or("no enumerator is named")?;
    let t = spec.btf.type_by_id(step.type_id);
    t.and_then(|t| Some((t, t.enumerators().nth(step.index as usize)?)))
        .map(|(t, e)| match t.kind() {
            // libbpf reads the 32 bits as signed whatever the enumeration says.
            BtfKind::Enum => i64::from(e.value as i32) as u64,
            _ => e.value as u64,
        })
        .ok_or("the enumerator does not exist")
}

/// What one side says of a field.
struct Field {
    value: u64,
    /// Whether the compiler is known to have computed the same.
    certain: bool,
    /// Bytes of the field (of one element, for arrays), for byte offsets; else 0.
    size: u32,
    type_id: u32,
}

fn field(kind: Kind, spec: &Spec<'_>) -> Result<Field, Problem> {
    let btf = spec.btf;
    let step = spec.steps.last().ok_or("the access path is empty")?;
    if step.name.is_none() {
        // An array element, or the root itself.
        return match kind {
            Kind::FieldByteOffset => Ok(Field {
                value: u64::from(spec.bit_offset / 8),
                certain: true,
                size: element_size(btf, step.type_id)?,
                type_id: step.type_id,
            }),
            Kind::FieldByteSize => {
                let size = btf.size_of(step.type_id).ok_or("the type has no size")?;
                Ok(Field { value: u64::from(size), certain: true, size: 0, type_id: 0 })
            }
            _ => Err("it cannot be applied to an array element"),
        };
    }
    let member = btf
        .type_by_id(step.type_id)
        .and_then(|t| t.members().nth(step.index as usize))
        .ok_or("the field does not exist")?;
    let t = btf.strip(member.type_id).ok_or("the field has no type")?;
    let bits = u32::from(member.bits);
    let place = if bits > 0 { bit_field(t, spec.bit_offset, bits)? } else { plain(btf, t, spec)? };
    let bit_field = bits > 0;
    let mut found = Field { value: 0, certain: !bit_field, size: 0, type_id: 0 };
    match kind {
        Kind::FieldByteOffset => {
            found.value = u64::from(place.byte_offset);
            if !bit_field {
                (found.size, found.type_id) = (element_size(btf, t.id())?, t.id());
            }
        }
        Kind::FieldByteSize => found.value = u64::from(place.bytes),
        Kind::FieldSigned => {
            let signed = t.int().is_some_and(|i| i.signed) || (t.kind().is_enum() && t.flag());
            (found.value, found.certain) = (u64::from(signed), true);
        }
        Kind::FieldLshift => found.value = left_shift(spec.bit_offset, &place)?,
        Kind::FieldRshift => {
            let shift = 64u32.checked_sub(place.bits).ok_or("the field is wider than 64 bits");
            (found.value, found.certain) = (u64::from(shift?), true);
        }
        _ => return Err("the kind is not one of a field"),
    }
    Ok(found)
}

/// The bytes to load for a field.
struct Place {
    byte_offset: u32,
    bytes: u32,
    bits: u32,
}

fn plain(btf: &Btf, t: Type<'_>, spec: &Spec<'_>) -> Result<Place, Problem> {
    let bytes = btf.size_of(t.id()).ok_or("the field's type has no size")?;
    Ok(Place { byte_offset: spec.bit_offset / 8, bytes, bits: bytes.wrapping_mul(8) })
}

/// The smallest aligned load that covers a bit-field.
fn bit_field(t: Type<'_>, bit_offset: u32, bits: u32) -> Result<Place, Problem> {
    let mut bytes = t.size_or_type();
    if !matches!(bytes, 1 | 2 | 4 | 8 | 16) {
        return Err("the bit-field's type has an impossible size");
    }
    let mut byte_offset = bit_offset / 8 / bytes * bytes;
    while bit_offset + bits - byte_offset * 8 > bytes * 8 {
        if bytes >= 8 {
            return Err("the bit-field cannot be read with one 64-bit load");
        }
        bytes *= 2;
        byte_offset = bit_offset / 8 / bytes * bytes;
    }
    Ok(Place { byte_offset, bytes, bits })
}

fn left_shift(bit_offset: u32, place: &Place) -> Result<u64, Problem> {
    let before = bit_offset - place.byte_offset * 8;
    let shift = if cfg!(target_endian = "little") {
        64u32.checked_sub(before.saturating_add(place.bits))
    } else {
        8u32.checked_sub(place.bytes).and_then(|unused| (unused * 8).checked_add(before))
    };
    shift.map(u64::from).ok_or("the field is wider than 64 bits")
}

fn element_size(btf: &Btf, id: u32) -> Result<u32, Problem> {
    let mut id = id;
    for _ in 0..64 {
        match btf.strip(id).and_then(|t| t.array()) {
            Some(array) => id = array.element,
            None => return btf.size_of(id).ok_or("the field's type has no size"),
        }
    }
    Err("the field's type nests too deep")
}

/// Pointers (64 bits in BPF, 32 on some kernels) and unsigned integers read right at any width.
fn resizable(local: &Btf, old: u32, target: &Btf, new: u32) -> bool {
    let pair = local.type_by_id(old).zip(target.type_by_id(new));
    pair.is_some_and(|(a, b)| {
        let pointers = a.kind() == BtfKind::Ptr && b.kind() == BtfKind::Ptr;
        let unsigned = |t: Type<'_>| t.int().is_some_and(|i| !i.signed);
        pointers || (unsigned(a) && unsigned(b))
    })
}
