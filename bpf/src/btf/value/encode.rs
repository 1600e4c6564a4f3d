//! JSON to bytes.

use serde_json::Value;

use super::super::{Btf, Kind, Member, Type};
use super::shape::{Shape, is_text};
use super::{ValueError, text};

/// The most bytes a value may take: more than a map takes.
const MAX_BYTES: u32 = 64 << 20;

/// Bytes that a type's values take.
pub(super) fn size(btf: &Btf, type_id: u32) -> Result<usize, ValueError> {
    let size = btf.size_of(type_id).filter(|&size| size <= MAX_BYTES);
    size.map(|s| s as usize)
        .ok_or_else(|| ValueError::new(format!("BTF type {type_id} has no values of its own")))
}

pub(super) fn value(
    btf: &Btf,
    type_id: u32,
    value: &Value,
    bytes: &mut [u8],
    depth: usize,
) -> Result<(), ValueError> {
    let none = || ValueError::new(format!("BTF type {type_id} has no values of its own"));
    let depth = depth.checked_sub(1).ok_or_else(none)?;
    let shape = Shape::of(btf, type_id).ok_or_else(none)?;
    match shape.ty.kind() {
        Kind::Int | Kind::Ptr | Kind::Enum | Kind::Enum64 => {
            let fits = scalar_bytes(shape, value, bytes.len())?;
            bytes.copy_from_slice(&fits);
        }
        Kind::Float => bytes.copy_from_slice(&float(value, bytes.len())?),
        Kind::Array => array(btf, shape.ty, value, bytes, depth)?,
        Kind::Struct | Kind::Union | Kind::Datasec => match value {
            Value::Object(_) => object(btf, shape.ty, value, bytes, depth)?,
            Value::String(text) => composite(btf, shape, text, bytes)?,
            other => return Err(expected("an object", other)),
        },
        _ => return Err(none()),
    }
    Ok(())
}

fn expected(what: &str, found: &Value) -> ValueError {
    ValueError::new(format!("expected {what}, found {found}"))
}

/// A number for so many bits, in two's complement.
fn fit(number: i128, bits: u32, signed: bool, of: &Value) -> Result<u128, ValueError> {
    let (low, high) = if signed && bits < 128 {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    } else {
        (0, 1_i128.checked_shl(bits).map_or(i128::MAX, |v| v.wrapping_sub(1)))
    };
    // A bit pattern written in hex may set the sign bit.
    let pattern = matches!(of, Value::String(s) if s.starts_with("0x"))
        && signed
        && bits < 127
        && (0..1_i128 << bits).contains(&number);
    if !(low..=high).contains(&number) && !pattern {
        return Err(ValueError::new(format!("{of} is not between {low} and {high}")));
    }
    Ok(number as u128)
}

/// The integer that a value stands for, for a type of so many bits.
fn integer(ty: Type<'_>, value: &Value, bits: u32) -> Result<u128, ValueError> {
    let signed = match ty.kind() {
        Kind::Int => ty.int().is_some_and(|i| i.signed),
        Kind::Enum | Kind::Enum64 => ty.flag(),
        _ => false,
    };
    let number = match value {
        Value::Bool(b) => i128::from(*b),
        Value::Number(n) => n
            .as_i64()
            .map(i128::from)
            .or_else(|| n.as_u64().map(i128::from))
            .ok_or_else(|| expected("an integer", value))?,
        Value::String(text) => {
            let named = ty.enumerators().find(|e| e.name == text).map(|e| i128::from(e.value));
            named.or_else(|| text::number(text.trim())).ok_or_else(|| {
                let names: Vec<&str> = ty.enumerators().map(|e| e.name).take(8).collect();
                match names.is_empty() {
                    true => expected("a number", value),
                    false => expected(&format!("a number or one of {}", names.join(", ")), value),
                }
            })?
        }
        other => return Err(expected("a number", other)),
    };
    fit(number, bits, signed, value)
}

/// The low bytes of a number in the host's order.
fn native(number: u128, size: usize) -> Vec<u8> {
    let bytes = number.to_ne_bytes();
    let size = size.min(16);
    if cfg!(target_endian = "big") { bytes[16 - size..].to_vec() } else { bytes[..size].to_vec() }
}

/// The low bytes of a number in network order.
fn network(number: u128, size: usize) -> Vec<u8> {
    number.to_be_bytes()[16 - size.min(16)..].to_vec()
}

fn scalar_bytes(shape: Shape<'_>, value: &Value, size: usize) -> Result<Vec<u8>, ValueError> {
    let bits = 8 * size.min(16) as u32;
    let order = if shape.network { network } else { native };
    if let Value::String(text) = value {
        let text = text.trim();
        if let Some(number) = text.strip_prefix("be:").and_then(text::number) {
            return Ok(network(fit(number, bits, false, value)?, size));
        }
        let bytes = text::address(text, size).or_else(|| {
            // One word of digits is a number; several are bytes.
            let several = text.contains([' ', ':']);
            several.then(|| text::hex_bytes(text, size)).flatten()
        });
        if let Some(bytes) = bytes {
            return Ok(bytes);
        }
    }
    integer(shape.ty, value, bits).map(|number| order(number, size))
}

fn float(value: &Value, size: usize) -> Result<Vec<u8>, ValueError> {
    let text_bytes = value.as_str().and_then(|t| text::hex_bytes(t.trim(), size));
    if let Some(bytes) = text_bytes {
        return Ok(bytes);
    }
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    match (number, size) {
        (Some(n), 4) => Ok((n as f32).to_ne_bytes().to_vec()),
        (Some(n), 8) => Ok(n.to_ne_bytes().to_vec()),
        _ => Err(expected("a number", value)),
    }
}

fn array(
    btf: &Btf,
    ty: Type<'_>,
    list: &Value,
    bytes: &mut [u8],
    depth: usize,
) -> Result<(), ValueError> {
    let element = ty.array().map_or(0, |a| a.element);
    let text_of = is_text(btf, element);
    match list {
        Value::Array(items) => {
            let each = size(btf, element)?;
            let count = bytes.len().checked_div(each).unwrap_or(0);
            if items.len() > count {
                let what = format!("a list of {} where {count} fit", items.len());
                return Err(ValueError::new(what));
            }
            for (index, (item, field)) in
                items.iter().zip(bytes.chunks_mut(each.max(1))).enumerate()
            {
                value(btf, element, item, field, depth)
                    .map_err(|e| e.within(&format!("[{index}]")))?;
            }
            Ok(())
        }
        Value::String(text) => {
            let form = match text_of {
                Some(_) => text::hex_bytes(text.trim(), bytes.len())
                    .or_else(|| text::address(text.trim(), bytes.len())),
                None => text::hex_bytes(text.trim(), bytes.len()),
            };
            let found = match form {
                Some(found) => found,
                None if text_of == Some(true) && text.len() <= bytes.len() => {
                    let mut found = text.clone().into_bytes();
                    found.resize(bytes.len(), 0);
                    found
                }
                None => return Err(expected(&format!("a list or {} bytes", bytes.len()), list)),
            };
            bytes.copy_from_slice(&found);
            Ok(())
        }
        other => Err(expected("a list", other)),
    }
}

/// A struct in one word: an address with its prefix length, or all its bytes.
fn composite(btf: &Btf, shape: Shape<'_>, text: &str, bytes: &mut [u8]) -> Result<(), ValueError> {
    let text = text.trim();
    if let (Some((length_type, range)), Some((address, length))) =
        (shape.prefix(btf), text.split_once('/'))
    {
        let most = 8 * range.len() as u32;
        let length: u32 =
            length.parse().ok().filter(|&l| l <= most).ok_or_else(|| {
                ValueError::new(format!("'{length}' is not between 0 and {most}"))
            })?;
        let address = text::address(address, range.len())
            .ok_or_else(|| ValueError::new(format!("'{address}' is no address of its size")))?;
        value(btf, length_type, &length.into(), &mut bytes[..4], 4)?;
        bytes[range].copy_from_slice(&address);
        return Ok(());
    }
    let found = match shape.ty.name() {
        "in6_addr" => text::address(text, bytes.len()),
        _ => None,
    };
    let found = found.or_else(|| text::hex_bytes(text, bytes.len())).ok_or_else(|| {
        let names: Vec<&str> = shape.ty.members().map(|m| m.name).take(8).collect();
        let what = format!("an object with {}, or {} bytes", names.join(", "), bytes.len());
        expected(&what, &Value::String(text.to_owned()))
    })?;
    bytes.copy_from_slice(&found);
    Ok(())
}

/// Where a field lies.
struct Field {
    type_id: u32,
    bit_offset: usize,
    /// 0 for whole bytes.
    bits: u8,
}

/// Finds a field by name, in nameless members too.
fn find(btf: &Btf, ty: Type<'_>, name: &str, base: usize, depth: usize) -> Option<Field> {
    let depth = depth.checked_sub(1)?;
    for variable in ty.variables() {
        if btf.type_by_id(variable.type_id)?.name() == name {
            let bit_offset = variable.offset as usize * 8;
            return Some(Field { type_id: variable.type_id, bit_offset, bits: 0 });
        }
    }
    for member in ty.members() {
        let bit_offset = base + member.bit_offset as usize;
        if member.name == name {
            return Some(Field { type_id: member.type_id, bit_offset, bits: member.bits });
        }
        if member.name.is_empty()
            && let Some(inner) = Shape::of(btf, member.type_id)
            && let Some(field) = find(btf, inner.ty, name, bit_offset, depth)
        {
            return Some(field);
        }
    }
    None
}

fn object(
    btf: &Btf,
    ty: Type<'_>,
    given: &Value,
    bytes: &mut [u8],
    depth: usize,
) -> Result<(), ValueError> {
    let Value::Object(given) = given else { return Err(expected("an object", given)) };
    let overlaps = |t: Type<'_>| t.kind() == Kind::Union;
    let nameless = |m: &Member<'_>| {
        m.name.is_empty() && Shape::of(btf, m.type_id).is_some_and(|s| overlaps(s.ty))
    };
    let rounds = 1 + usize::from(overlaps(ty) || ty.members().any(|m| nameless(&m)));
    // What a second pass would change, an overlapping member had set differently.
    for round in 0..rounds {
        for (name, item) in given {
            let unknown = || {
                let known: Vec<&str> = ty.members().map(|m| m.name).take(8).collect();
                let what = format!("no such field; there are {}", known.join(", "));
                ValueError::new(what).within(name)
            };
            let field = find(btf, ty, name, 0, 4).ok_or_else(unknown)?;
            let before = (round == 1).then(|| bytes.to_vec());
            write(btf, &field, item, bytes, depth).map_err(|e| e.within(name))?;
            if before.is_some_and(|before| before != bytes) {
                let what = "contradicts another member of the same union";
                return Err(ValueError::new(what).within(name));
            }
        }
    }
    Ok(())
}

fn write(
    btf: &Btf,
    field: &Field,
    item: &Value,
    bytes: &mut [u8],
    depth: usize,
) -> Result<(), ValueError> {
    let outside = || ValueError::new("lies outside its struct");
    if field.bits == 0 {
        let at = field.bit_offset / 8;
        let end = at + size(btf, field.type_id)?;
        let place = bytes.get_mut(at..end).ok_or_else(outside)?;
        return value(btf, field.type_id, item, place, depth);
    }
    let shape = Shape::of(btf, field.type_id).ok_or_else(outside)?;
    let bits = u32::from(field.bits);
    let mask = (1_u128 << bits) - 1;
    let number = integer(shape.ty, item, bits)? & mask;
    let (first, shift) = (field.bit_offset / 8, field.bit_offset % 8);
    let last = (field.bit_offset + bits as usize).div_ceil(8);
    let place = bytes.get_mut(first..last).ok_or_else(outside)?;
    let mut word = [0; 16];
    word.get_mut(..place.len()).ok_or_else(outside)?.copy_from_slice(place);
    let word = u128::from_le_bytes(word) & !(mask << shift) | number << shift;
    place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
    Ok(())
}
