//! Bytes to JSON.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Number, Value};

use super::super::{Btf, Kind, Type};
use super::shape::{Shape, is_text};
use super::{DEPTH, hex, text};

/// Values written for one call: more than any real type has for its bytes.
fn budget(bytes: &[u8]) -> usize {
    4096 + 64 * bytes.len()
}

pub(super) fn value(btf: &Btf, type_id: u32, bytes: &[u8]) -> Value {
    let mut reader = Reader { btf, left: budget(bytes) };
    let fits = btf.size_of(type_id).is_some_and(|size| size as usize == bytes.len());
    let value = if fits { reader.value(type_id, bytes, DEPTH) } else { None };
    value.unwrap_or_else(|| Value::String(hex(bytes)))
}

/// An unsigned number of up to 16 bytes in the host's order.
pub(super) fn unsigned(bytes: &[u8]) -> Option<u128> {
    let mut word = [0; 16];
    let field = if cfg!(target_endian = "big") {
        word.get_mut(16_usize.checked_sub(bytes.len())?..)?
    } else {
        word.get_mut(..bytes.len())?
    };
    field.copy_from_slice(bytes);
    Some(u128::from_ne_bytes(word))
}

fn sign_extended(value: u128, bits: u32) -> i128 {
    let shift = 128_u32.saturating_sub(bits.max(1));
    ((value << shift) as i128) >> shift
}

struct Reader<'b> {
    btf: &'b Btf,
    left: usize,
}

impl Reader<'_> {
    fn value(&mut self, type_id: u32, bytes: &[u8], depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let shape = Shape::of(self.btf, type_id)?;
        match shape.ty.kind() {
            Kind::Int if shape.network => Some(network(bytes)),
            Kind::Int | Kind::Ptr | Kind::Enum | Kind::Enum64 => {
                scalar(shape.ty, unsigned(bytes)?, 8 * bytes.len() as u32)
            }
            Kind::Float => Some(float(bytes)),
            Kind::Array => self.array(shape.ty, bytes, depth),
            Kind::Struct if shape.ty.name() == "in6_addr" && bytes.len() == 16 => {
                let octets: [u8; 16] = bytes.try_into().ok()?;
                Some(Value::String(Ipv6Addr::from(octets).to_string()))
            }
            Kind::Struct | Kind::Union => {
                let mut object = Map::new();
                self.members(shape.ty, bytes, &mut object, depth)?;
                Some(Value::Object(object))
            }
            Kind::Datasec => {
                let mut object = Map::new();
                for variable in shape.ty.variables() {
                    let (at, size) = (variable.offset as usize, variable.size as usize);
                    let field = bytes.get(at..at.checked_add(size)?)?;
                    let name = self.btf.type_by_id(variable.type_id)?.name().to_owned();
                    let value = self.value(variable.type_id, field, depth)?;
                    object.insert(name, value);
                }
                Some(Value::Object(object))
            }
            _ => None,
        }
    }

    fn array(&mut self, ty: Type<'_>, bytes: &[u8], depth: usize) -> Option<Value> {
        let array = ty.array()?;
        match is_text(self.btf, array.element) {
            Some(true) if let Some(text) = as_text(bytes) => return Some(Value::String(text)),
            Some(false) if bytes.len() == 6 => return Some(Value::String(text::mac(bytes))),
            Some(false) => return Some(Value::String(hex(bytes))),
            _ => {}
        }
        match self.btf.size_of(array.element)? as usize {
            0 => Some(Value::Array(Vec::new())),
            size => bytes.chunks(size).map(|b| self.value(array.element, b, depth)).collect(),
        }
    }

    fn members(
        &mut self,
        ty: Type<'_>,
        bytes: &[u8],
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        for member in ty.members() {
            self.left = self.left.checked_sub(1)?;
            if member.bits > 0 {
                let bits = bit_field(bytes, member.bit_offset, member.bits)?;
                if !member.name.is_empty() {
                    let shape = Shape::of(self.btf, member.type_id)?;
                    let value = scalar(shape.ty, bits, u32::from(member.bits))?;
                    object.insert(member.name.to_owned(), value);
                }
                continue;
            }
            let at = member.bit_offset as usize / 8;
            let size = self.btf.size_of(member.type_id)? as usize;
            let field = bytes.get(at..at.checked_add(size)?)?;
            if member.name.is_empty() {
                let inner = Shape::of(self.btf, member.type_id)?;
                self.members(inner.ty, field, object, depth)?;
            } else {
                let value = self.value(member.type_id, field, depth)?;
                object.insert(member.name.to_owned(), value);
            }
        }
        Some(())
    }
}

/// Bits of a struct, counted from the least significant as little-endian compilers do.
fn bit_field(bytes: &[u8], offset: u32, bits: u8) -> Option<u128> {
    let (first, shift) = (offset as usize / 8, offset % 8);
    let last = (offset as usize + usize::from(bits)).div_ceil(8);
    let field = bytes.get(first..last)?;
    let mut word = [0; 16];
    word.get_mut(..field.len())?.copy_from_slice(field);
    Some((u128::from_le_bytes(word) >> shift) & ((1_u128 << bits) - 1))
}

fn scalar(ty: Type<'_>, raw: u128, bits: u32) -> Option<Value> {
    let signed = match ty.kind() {
        Kind::Int => ty.int()?.signed,
        Kind::Enum | Kind::Enum64 => ty.flag(),
        _ => false,
    };
    let value = if signed { sign_extended(raw, bits) } else { i128::try_from(raw).unwrap_or(-1) };
    if ty.int().is_some_and(|i| i.bool) && raw < 2 {
        return Some(Value::Bool(raw == 1));
    }
    let named = ty.enumerators().find(|e| i128::from(e.value) == value);
    if let Some(name) = named.map(|e| e.name).filter(|n| !n.is_empty()) {
        return Some(Value::String(name.to_owned()));
    }
    let number = match (i64::try_from(value), u64::try_from(raw)) {
        (Ok(n), _) if signed || n >= 0 => Number::from(n),
        (_, Ok(n)) if !signed => Number::from(n),
        // Sixteen bytes: JSON has no such numbers.
        _ => return Some(Value::String(format!("{raw:#x}"))),
    };
    Some(Value::Number(number))
}

fn network(bytes: &[u8]) -> Value {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Value::String(Ipv4Addr::from(octets).to_string());
    }
    let value = bytes.iter().fold(0_u64, |v, b| v << 8 | u64::from(*b));
    Value::Number(value.into())
}

fn float(bytes: &[u8]) -> Value {
    let value = match bytes.len() {
        4 => bytes.try_into().ok().map(|b| f64::from(f32::from_ne_bytes(b))),
        8 => bytes.try_into().ok().map(f64::from_ne_bytes),
        _ => None,
    };
    let number = value.and_then(Number::from_f64);
    number.map_or_else(|| Value::String(hex(bytes)), Value::Number)
}

/// Characters up to the first zero, if they are text and nothing but zeroes follows.
fn as_text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let clean = bytes[end..].iter().all(|&b| b == 0) && !text.chars().any(char::is_control);
    // Text that reads as hex bytes would come back as those.
    (clean && text::hex_bytes(text, bytes.len()).is_none()).then(|| text.to_owned())
}
