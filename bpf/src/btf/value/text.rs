//! Short text forms.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A number in decimal, hexadecimal (`0x`) or binary (`0b`), perhaps negative.
pub(super) fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Bytes in memory order: `de ad be ef`, `0xde 0xad`, `de:ad`, or one word of `0x` and two digits
/// for each byte.
pub(super) fn hex_bytes(text: &str, size: usize) -> Option<Vec<u8>> {
    let byte = |word: &str| {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    let bytes: Vec<u8> = match text.strip_prefix("0x") {
        Some(digits) if digits.len() == 2 * size && digits.is_ascii() => {
            (0..size).map(|i| byte(&digits[2 * i..2 * i + 2])).collect::<Option<_>>()?
        }
        _ if text.contains(':') => text.split(':').map(byte).collect::<Option<_>>()?,
        _ => text.split_whitespace().map(byte).collect::<Option<_>>()?,
    };
    (bytes.len() == size).then_some(bytes)
}

/// An address of four or sixteen bytes, in network order.
pub(super) fn address(text: &str, size: usize) -> Option<Vec<u8>> {
    match size {
        4 => Some(text.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        16 => Some(text.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        _ => None,
    }
}

/// Six bytes as `02:00:00:00:00:01`.
pub(super) fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}
