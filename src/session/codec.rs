//! Values in words: by their BTF type where there is one, else as bytes.

use hoist_offload::bpf::btf::{Btf, value};
use serde_json::Value;

/// How values are written, for the next step after one that does not fit.
pub const FORMS: &str = "values are written 10, 0x1f, true, 192.0.2.1, 2001:db8::1, \
                         02:00:00:00:00:01, {\"field\": 1} or [1, 2], as the type asks";

/// Reads and writes values of one type.
#[derive(Clone, Copy, Debug)]
pub struct Codec<'b> {
    btf: Option<(&'b Btf, u32)>,
    size: usize,
    /// Without a type, four bytes are a number rather than bytes.
    number: bool,
}

impl<'b> Codec<'b> {
    /// Values of `size` bytes; `btf` with the type's id where it is known.
    #[must_use]
    pub const fn new(btf: Option<(&'b Btf, u32)>, size: u32) -> Self {
        Self { btf, size: size as usize, number: false }
    }

    /// The same, but four bytes without a type are a number: an index, or the kernel's id of
    /// something.
    #[must_use]
    pub const fn number(self) -> Self {
        Self { number: true, ..self }
    }

    /// Bytes as a value. Bytes without a type become a string of hexadecimal digits.
    #[must_use]
    pub fn to_json(&self, bytes: &[u8]) -> Value {
        match self.btf {
            Some((btf, id)) => value::to_json(btf, id, bytes),
            None => match <[u8; 4]>::try_from(bytes) {
                Ok(word) if self.number => u32::from_ne_bytes(word).into(),
                _ => Value::String(hex(bytes)),
            },
        }
    }

    /// A value as bytes.
    ///
    /// # Errors
    /// Why the value does not fit the type or the size, in one sentence.
    pub fn from_json(&self, value: &Value) -> Result<Vec<u8>, String> {
        let bytes = match self.btf {
            Some((btf, id)) => value::from_json(btf, id, value).map_err(|e| e.to_string())?,
            None => raw(value, self.size)?,
        };
        if bytes.len() == self.size {
            return Ok(bytes);
        }
        Err(format!("{value} takes {} bytes, the map holds {}", bytes.len(), self.size))
    }

    /// A word from a command line as bytes.
    ///
    /// # Errors
    /// See [`Codec::from_json`].
    pub fn from_text(&self, text: &str) -> Result<Vec<u8>, String> {
        self.from_json(&text_value(text))
    }
}

/// A word as a JSON value: numbers, booleans, objects and lists as such, anything else a string.
#[must_use]
pub fn text_value(text: &str) -> Value {
    let trimmed = text.trim();
    serde_json::from_str(trimmed).unwrap_or_else(|_| Value::String(trimmed.to_owned()))
}

/// Bytes as one word of hexadecimal digits, in memory order.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

/// A value without a type: `0x` and two digits for each byte, an address of that size, or a number
/// in the host's byte order.
fn raw(value: &Value, size: usize) -> Result<Vec<u8>, String> {
    match value {
        Value::Number(n) => n
            .as_i64()
            .map(i128::from)
            .or_else(|| n.as_u64().map(i128::from))
            .and_then(|n| number(n, size))
            .ok_or_else(|| format!("{n} does not fit {size} bytes without a type")),
        Value::String(text) => text_bytes(text, size).ok_or_else(|| {
            format!("'{text}' is not {size} bytes; without BTF write 0x and {} digits", 2 * size)
        }),
        other => Err(format!("{other} has no meaning without BTF; write {size} bytes as 0x...")),
    }
}

fn number(n: i128, size: usize) -> Option<Vec<u8>> {
    let bits = match size {
        1 | 2 | 4 | 8 => 8 * size as u32,
        _ => return None,
    };
    let fits = n >= -(1_i128 << (bits - 1)) && n < 1_i128 << bits;
    // The low bytes of a 128-bit integer are where the host's order puts them.
    let bytes = n.to_ne_bytes();
    let low = if cfg!(target_endian = "big") { &bytes[16 - size..] } else { &bytes[..size] };
    fits.then(|| low.to_vec())
}

fn text_bytes(text: &str, size: usize) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("0x") {
        if digits.len() != 2 * size || !digits.is_ascii() {
            return None;
        }
        return (0..size).map(|i| byte(&digits[2 * i..2 * i + 2])).collect();
    }
    let bytes = match size {
        4 => text.parse::<std::net::Ipv4Addr>().ok()?.octets().to_vec(),
        16 => text.parse::<std::net::Ipv6Addr>().ok()?.octets().to_vec(),
        _ => text.split(':').map(byte).collect::<Option<_>>()?,
    };
    (bytes.len() == size).then_some(bytes)
}

/// One or two hexadecimal digits; a sign, which the standard library would take, is none.
fn byte(digits: &str) -> Option<u8> {
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untyped_values_are_bytes_addresses_or_numbers() {
        let cases: [(&str, u32, Option<&[u8]>); 12] = [
            ("0x0a000001", 4, Some(&[10, 0, 0, 1])),
            ("10.0.0.1", 4, Some(&[10, 0, 0, 1])),
            ("02:00:00:00:00:01", 6, Some(&[2, 0, 0, 0, 0, 1])),
            ("0xff", 1, Some(&[255])),
            ("255", 1, Some(&[255])),
            ("-1", 2, Some(&[255, 255])),
            ("256", 1, None),
            ("1", 3, None),
            ("0xff", 2, None),
            ("0x+f", 1, None),
            ("{\"a\": 1}", 4, None),
            ("", 4, None),
        ];
        for (text, size, expected) in cases {
            let bytes = Codec::new(None, size).from_text(text).ok();
            assert_eq!(bytes.as_deref(), expected, "{text} in {size} bytes");
        }
        let index = Codec::new(None, 4).number();
        assert_eq!(index.to_json(&7_u32.to_ne_bytes()), Value::from(7));
        assert_eq!(Codec::new(None, 2).to_json(&[1, 0xab]), Value::String("0x01ab".to_owned()));
    }
}
