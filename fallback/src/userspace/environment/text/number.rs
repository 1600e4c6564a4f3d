//! Numbers in text: `__bpf_strtoull` and what stands on it.

/// `BPF_STRTOX_BASE_MASK`: the bits of the flags that hold the base.
const BASE: u64 = 0x1f;
/// Bytes of text that the kernel looks at after blanks and sign.
const MOST: usize = 63;

/// Why text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotANumber {
    /// `EINVAL`: no digit, or a base that is not 0, 8, 10 or 16, or other flags.
    Invalid,
    /// `ERANGE`: more than the type holds.
    Range,
}

/// Reads an unsigned number with its sign apart, and says how many bytes it took.
fn parse(text: &[u8], flags: u64) -> Result<(u64, bool, usize), NotANumber> {
    let base = flags & BASE;
    if text.is_empty() || flags & !BASE != 0 || !matches!(base, 0 | 8 | 10 | 16) {
        return Err(NotANumber::Invalid);
    }
    let blanks = text.iter().take_while(|c| is_space(**c)).count();
    let negative = text.get(blanks) == Some(&b'-');
    let start = blanks + usize::from(negative);
    let rest = &text[start..];
    if rest.is_empty() {
        return Err(NotANumber::Invalid);
    }
    let rest = &rest[..rest.len().min(MOST)];
    let (base, prefix) = radix(rest, base);
    let (mut value, mut digits, mut overflow) = (0_u64, 0, false);
    for c in &rest[prefix..] {
        let Some(digit) = char::from(*c).to_digit(base) else { break };
        let next = value.checked_mul(u64::from(base)).and_then(|v| v.checked_add(digit.into()));
        overflow |= next.is_none();
        value = next.unwrap_or(value);
        digits += 1;
    }
    match digits {
        _ if overflow => Err(NotANumber::Range),
        0 => Err(NotANumber::Invalid),
        _ => Ok((value, negative, start + prefix + digits)),
    }
}

/// `_parse_integer_fixup_radix`: the base in effect and the bytes of `0x` to skip.
fn radix(text: &[u8], base: u64) -> (u32, usize) {
    let hex = text.len() > 1 && text[0] == b'0' && text[1].eq_ignore_ascii_case(&b'x');
    match base {
        0 if hex && text.get(2).is_some_and(u8::is_ascii_hexdigit) => (16, 2),
        0 if text.first() == Some(&b'0') => (8, 0),
        16 if hex => (16, 2),
        8 => (8, 0),
        16 => (16, 0),
        _ => (10, 0),
    }
}

/// `bpf_strtol`: the number and the bytes it took.
pub(super) fn signed(text: &[u8], flags: u64) -> Result<(i64, usize), NotANumber> {
    let (value, negative, taken) = parse(text, flags)?;
    let number = if negative { value.wrapping_neg() } else { value }.cast_signed();
    // As the kernel: -2^63 fits, and so does minus zero.
    let fits = if negative { number <= 0 } else { number >= 0 };
    if fits { Ok((number, taken)) } else { Err(NotANumber::Range) }
}

/// `bpf_strtoul`: the number and the bytes it took.
pub(super) fn unsigned(text: &[u8], flags: u64) -> Result<(u64, usize), NotANumber> {
    match parse(text, flags)? {
        (_, true, _) => Err(NotANumber::Invalid),
        (value, false, taken) => Ok((value, taken)),
    }
}

/// `isspace` of the kernel's `ctype`.
pub(super) const fn is_space(c: u8) -> bool {
    matches!(c, b'\t'..=b'\r' | b' ' | 0xa0)
}

#[cfg(test)]
mod tests {
    use super::NotANumber::{Invalid, Range};
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_reads_them() {
        for (text, flags, expected) in [
            ("42", 10, Ok((42, 2))),
            ("  -42x", 0, Ok((-42, 5))),
            ("0x1fg", 0, Ok((31, 4))),
            ("0x1f", 16, Ok((31, 4))),
            ("1f", 16, Ok((31, 2))),
            ("0x", 0, Ok((0, 1))),
            ("0xz", 16, Err(Invalid)),
            ("017", 0, Ok((15, 3))),
            ("019", 0, Ok((1, 2))),
            ("+1", 0, Err(Invalid)),
            ("-", 0, Err(Invalid)),
            (" ", 0, Err(Invalid)),
            ("", 0, Err(Invalid)),
            ("1", 2, Err(Invalid)),
            ("1", 0x20, Err(Invalid)),
            ("9223372036854775807", 10, Ok((i64::MAX, 19))),
            ("9223372036854775808", 10, Err(Range)),
            ("-9223372036854775808", 10, Ok((i64::MIN, 20))),
            ("-9223372036854775809", 10, Err(Range)),
            ("99999999999999999999", 10, Err(Range)),
            ("-0", 10, Ok((0, 2))),
        ] {
            assert_eq!(signed(text.as_bytes(), flags), expected, "{text:?} {flags}");
        }
        assert_eq!(unsigned(b"18446744073709551615", 10), Ok((u64::MAX, 20)));
        assert_eq!(unsigned(b"18446744073709551616", 10), Err(Range));
        assert_eq!(unsigned(b"-1", 10), Err(Invalid));
    }
}
