//! Values of BTF types as JSON, and back.
//!
//! | type | as JSON | also taken |
//! |---|---|---|
//! | integer | number | `"0x1f"`, `"-3"`, `"be:80"`, IPv4 for four bytes, hex bytes `"de ad be ef"` |
//! | `__be16`, `__be64` | number, as it reads on the wire: port 53 is 53 | as for integers |
//! | `__be32` | IPv4 address | number as it reads on the wire |
//! | boolean | `true`, `false` | number |
//! | enumeration | name of the value, else number | number |
//! | pointer | number | as for integers |
//! | `float`, `double` | number; not-a-number and infinities as hex bytes | |
//! | `char[]` | string, where it is text and only zeroes follow; else a list | hex bytes |
//! | `unsigned char[6]` | MAC address | list, hex bytes |
//! | `struct in6_addr` | IPv6 address | hex bytes |
//! | other `unsigned char[]` | one word of hex digits | list, IPv4 or IPv6 by size |
//! | array | list | |
//! | struct, union, data section | object; fields of nameless members as its own | hex bytes; `"10.0.0.0/8"` for a prefix length and an address |
//!
//! Integers are in the host's byte order, as the program that reads them sees them; addresses are in
//! network order wherever they stand. Fields that are left out are zero. Of a union any member may
//! be given; when several are, they must agree.

mod decode;
mod encode;
mod shape;
mod text;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::Btf;

/// Nested types that are followed.
const DEPTH: usize = 32;

/// Why a value does not fit a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if .path.is_empty() { String::new() } else { format!("'{}': ", .path) })]
pub struct ValueError {
    /// The field, for example `source.port[1]`; empty for the value as a whole.
    pub path: String,
    /// What was expected and what was found.
    pub what: String,
}

impl ValueError {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    /// The same error, seen from the value that contains the field.
    fn within(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }
}

/// Bytes as a value of a type. Bytes that do not fit the type, and types that make no sense, become
/// one word of hex digits.
#[must_use]
pub fn to_json(btf: &Btf, type_id: u32, bytes: &[u8]) -> Value {
    decode::value(btf, type_id, bytes)
}

/// A value as bytes of a type.
///
/// # Errors
/// Which field does not fit, and what would.
pub fn from_json(btf: &Btf, type_id: u32, value: &Value) -> Result<Vec<u8>, ValueError> {
    let size = encode::size(btf, type_id)?;
    let mut bytes = vec![0; size];
    encode::value(btf, type_id, value, &mut bytes, DEPTH)?;
    Ok(bytes)
}

/// Writes a value over bytes of a type: fields that the value leaves out keep what they hold.
///
/// # Errors
/// Which field does not fit, and what would; the bytes may be partly written then.
pub fn update(btf: &Btf, type_id: u32, value: &Value, bytes: &mut [u8]) -> Result<(), ValueError> {
    let size = encode::size(btf, type_id)?;
    if size != bytes.len() {
        return Err(ValueError::new(format!("the type takes {size} bytes, not {}", bytes.len())));
    }
    encode::value(btf, type_id, value, bytes, DEPTH)
}

/// Bytes as one word of hex digits, in memory order.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}
