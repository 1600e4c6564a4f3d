//! `printf` as BPF programs have it: `bpf_bprintf_prepare` and `bstr_printf`.

use super::number::is_space;

/// Bytes that prepared arguments may take (`MAX_BPRINTF_BIN_ARGS`).
const ROOM: usize = 512;

/// What cannot be formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unprintable {
    /// `EINVAL`: a conversion that BPF does not have, more conversions than arguments, or bytes that
    /// are not ASCII.
    Invalid,
    /// `ENOSPC`: the arguments take more than 512 bytes.
    TooLong,
}

/// How a conversion pads.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    zero: bool,
    left: bool,
    plus: bool,
    space: bool,
    width: usize,
}

/// Formats. `format` is without its NUL; `string` reads at most that many bytes of a string in the
/// program's memory, without NUL, and `bytes` reads exactly that many; both give `None` where there is
/// no memory.
pub(super) fn format(
    format: &[u8],
    arguments: &[u64],
    string: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>,
    bytes: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Unprintable> {
    let (mut out, mut at, mut room) = (Vec::new(), 0, ROOM);
    let mut arguments = arguments.iter().copied();
    let byte = |at: usize| format.get(at).copied().unwrap_or(0);
    let ends = |c: u8| c == 0 || is_space(c) || c.is_ascii_punctuation();
    while at < format.len() {
        let c = format[at];
        if !c.is_ascii() || !(is_space(c) || matches!(c, b' '..=b'~')) {
            return Err(Unprintable::Invalid);
        }
        at += 1;
        if c != b'%' {
            out.push(c);
            continue;
        }
        if byte(at) == b'%' {
            at += 1;
            out.push(b'%');
            continue;
        }
        let argument = arguments.next().ok_or(Unprintable::Invalid)?;
        let shape = shape(format, &mut at);
        let kind = byte(at);
        at += 1;
        match kind {
            b'p' => {
                let next = byte(at);
                if matches!(next, b'k' | b'u') && byte(at + 1) == b's' {
                    at += 2;
                    if !ends(byte(at)) {
                        return Err(Unprintable::Invalid);
                    }
                    let read = |most| (next == b'k').then(|| string(argument, most)).flatten();
                    text(&mut out, shape, &mut room, read)?;
                } else if ends(next) || matches!(next, b'K' | b'x' | b's' | b'S') {
                    take(&mut room, 8)?;
                    at += usize::from(next.is_ascii_alphabetic());
                    if matches!(next, b's' | b'S') {
                        pad(&mut out, shape, format!("{argument:#x}").as_bytes());
                    } else {
                        let width = if shape.width == 0 { 16 } else { shape.width };
                        let shape = Shape { width, zero: shape.width == 0 || shape.zero, ..shape };
                        pad_number(&mut out, shape, "", &format!("{argument:x}"));
                    }
                } else if next == b'B' {
                    at += 1;
                    let symbol = format!("{argument:#x}");
                    take(&mut room, symbol.len() + 1)?;
                    out.extend(symbol.bytes());
                } else {
                    let bytes_of = |n: usize, room: &mut usize| {
                        if *room < n { Err(Unprintable::TooLong) } else { Ok(n) }
                    };
                    let words = match (next, byte(at + 1)) {
                        (style @ (b'i' | b'I'), b'4') => {
                            let n = bytes_of(4, &mut room)?;
                            ipv4(&bytes(argument, n).unwrap_or_else(|| vec![0; 4]), style)
                        }
                        (style @ (b'i' | b'I'), b'6') => {
                            let n = bytes_of(16, &mut room)?;
                            ipv6(&bytes(argument, n).unwrap_or_else(|| vec![0; 16]), style)
                        }
                        _ => return Err(Unprintable::Invalid),
                    };
                    at += 2;
                    room = room.saturating_sub(words.len() + 1);
                    out.extend(words.bytes());
                }
            }
            b's' => {
                if !ends(byte(at)) {
                    return Err(Unprintable::Invalid);
                }
                text(&mut out, shape, &mut room, |most| string(argument, most))?;
            }
            b'c' => {
                take(&mut room, 1)?;
                // Only the lowest byte is the character.
                pad(&mut out, Shape { zero: false, ..shape }, &[argument as u8]);
            }
            _ => {
                let mut kind = kind;
                let mut long = 0;
                while kind == b'l' && long < 2 {
                    (kind, long) = (byte(at), long + 1);
                    at += 1;
                }
                room &= !3;
                take(&mut room, if long > 0 { 8 } else { 4 })?;
                // Without `l` only the lower half counts.
                let value = if long > 0 { argument } else { u64::from(argument as u32) };
                integer(&mut out, shape, kind, value, long > 0)?;
            }
        }
    }
    Ok(out)
}

fn take(room: &mut usize, bytes: usize) -> Result<(), Unprintable> {
    *room = room.checked_sub(bytes).ok_or(Unprintable::TooLong)?;
    Ok(())
}

fn shape(format: &[u8], at: &mut usize) -> Shape {
    let mut shape = Shape::default();
    while let Some(c @ (b'0' | b'+' | b'-' | b' ')) = format.get(*at) {
        match c {
            b'0' => shape.zero = true,
            b'+' => shape.plus = true,
            b'-' => shape.left = true,
            _ => shape.space = true,
        }
        *at += 1;
    }
    while let Some(digit @ b'0'..=b'9') = format.get(*at) {
        shape.width = shape.width.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        *at += 1;
    }
    // `struct printf_spec` holds so much (`FIELD_WIDTH_MAX`); more than fits any buffer.
    shape.width = shape.width.min(1 << 16);
    shape
}

fn integer(
    out: &mut Vec<u8>,
    shape: Shape,
    kind: u8,
    value: u64,
    long: bool,
) -> Result<(), Unprintable> {
    let (sign, digits) = match kind {
        b'd' | b'i' => {
            // The cast brings a negative `int` to the width of a `long`.
            let signed =
                if long { value.cast_signed() } else { i64::from((value as u32).cast_signed()) };
            let sign = match signed {
                ..0 => "-",
                _ if shape.plus => "+",
                _ if shape.space => " ",
                _ => "",
            };
            (sign, signed.unsigned_abs().to_string())
        }
        b'u' => ("", value.to_string()),
        b'x' => ("", format!("{value:x}")),
        b'X' => ("", format!("{value:X}")),
        _ => return Err(Unprintable::Invalid),
    };
    pad_number(out, shape, sign, &digits);
    Ok(())
}

fn text(
    out: &mut Vec<u8>,
    shape: Shape,
    room: &mut usize,
    mut read: impl FnMut(usize) -> Option<Vec<u8>>,
) -> Result<(), Unprintable> {
    if *room == 0 {
        return Err(Unprintable::TooLong);
    }
    let string = read(*room - 1).unwrap_or_default();
    *room -= (string.len() + 1).min(*room);
    pad(out, Shape { zero: false, ..shape }, &string);
    Ok(())
}

fn pad(out: &mut Vec<u8>, shape: Shape, text: &[u8]) {
    let blanks = shape.width.saturating_sub(text.len());
    let before = if shape.left { 0 } else { blanks };
    out.extend(std::iter::repeat_n(b' ', before));
    out.extend(text);
    out.extend(std::iter::repeat_n(b' ', blanks - before));
}

fn pad_number(out: &mut Vec<u8>, shape: Shape, sign: &str, digits: &str) {
    let zeroes = if shape.zero && !shape.left {
        shape.width.saturating_sub(sign.len() + digits.len())
    } else {
        0
    };
    let number = [sign.as_bytes(), &vec![b'0'; zeroes], digits.as_bytes()].concat();
    pad(out, shape, &number);
}

/// `%pI4` and `%pi4`, the latter with leading zeroes.
fn ipv4(bytes: &[u8], style: u8) -> String {
    let part = |b: &u8| if style == b'i' { format!("{b:03}") } else { b.to_string() };
    bytes.iter().map(part).collect::<Vec<_>>().join(".")
}

/// `%pI6` and `%pi6`, the latter without colons; nothing is shortened.
fn ipv6(bytes: &[u8], style: u8) -> String {
    let pair = |p: &[u8]| p.iter().map(|b| format!("{b:02x}")).collect::<String>();
    bytes.chunks(2).map(pair).collect::<Vec<_>>().join(if style == b'i' { "" } else { ":" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, arguments: &[u64]) -> Result<String, Unprintable> {
        let memory = |at: u64| match at {
            1 => Some(b"text".to_vec()),
            2 => Some((1..=16).collect()),
            _ => None,
        };
        let mut string = |at: u64, most: usize| memory(at).map(|t| t[..t.len().min(most)].to_vec());
        let mut bytes = |at: u64, n: usize| memory(at)?.get(..n).map(<[u8]>::to_vec);
        format(text.as_bytes(), arguments, &mut string, &mut bytes)
            .map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn conversions_print_as_in_the_kernel() {
        for (text, arguments, expected) in [
            ("%d %i", &[u64::MAX, 7][..], "-1 7"),
            ("%u", &[u64::MAX], "4294967295"),
            ("%lu", &[u64::MAX], "18446744073709551615"),
            ("%ld", &[u64::MAX], "-1"),
            ("%lld", &[1 << 40], "1099511627776"),
            ("%5d|%-5d|%05d|%+d|% d", &[42, 42, 42, 42, 42], "   42|42   |00042|+42| 42"),
            ("%05d", &[u64::MAX], "-0001"),
            ("%x %X %llx", &[0xbeef, 0xbeef, 0xbeef], "beef BEEF beef"),
            ("%08x", &[0xbeef], "0000beef"),
            ("100%%", &[], "100%"),
            ("%s|%6s|%-6s|", &[1, 1, 1], "text|  text|text  |"),
            ("%s", &[3], ""),
            ("%pks %pus.", &[1, 1], "text ."),
            ("%c%c", &[65, 0x142], "AB"),
            ("%pI4 %pi4", &[2, 2], "1.2.3.4 001.002.003.004"),
            ("%pI6", &[2], "0102:0304:0506:0708:090a:0b0c:0d0e:0f10"),
            ("%pi6", &[2], "0102030405060708090a0b0c0d0e0f10"),
            ("%pI4", &[9], "0.0.0.0"),
            ("%px", &[0xbeef], "000000000000beef"),
            ("%p, %pS", &[0xbeef, 0xbeef], "000000000000beef, 0xbeef"),
            ("a\n", &[5], "a\n"),
        ] {
            assert_eq!(plain(text, arguments).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_bpf_does_not_have_is_refused() {
        for (text, arguments) in [
            ("%d", &[][..]),
            ("%f", &[1]),
            ("%n", &[1]),
            ("%", &[1]),
            ("%lllx", &[1]),
            ("%hd", &[1]),
            ("%sx", &[1]),
            ("%pE", &[1]),
            ("%pI5", &[1]),
            ("%.3d", &[1]),
            ("\u{7}", &[]),
            ("é", &[]),
        ] {
            assert_eq!(plain(text, arguments), Err(Unprintable::Invalid), "{text:?}");
        }
        let many = "%s".repeat(129);
        assert_eq!(plain(&many, &[1; 129]), Err(Unprintable::TooLong));
    }
}
