//! Checks a BTF section from front to back and notes where each type starts.

use std::ops::Range;

use super::error::BtfError;
use super::types::Kind;

const MAGIC: u16 = 0xeb9f;
/// `sizeof(struct btf_header)`.
const HEADER: usize = 24;
/// `sizeof(struct btf_type)`.
pub(super) const TYPE: usize = 12;

pub(super) struct Parts {
    pub(super) strings: Range<usize>,
    pub(super) offsets: Vec<u32>,
}

/// Reads a `u32` in host byte order; `None` beyond the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

pub(super) fn check(bytes: &[u8]) -> Result<Parts, BtfError> {
    let (types, strings) = sections(bytes)?;
    check_strings(&bytes[strings.clone()])?;
    let mut offsets = Vec::new();
    let mut at = types.start;
    while at < types.end {
        let id = offsets.len() as u32 + 1;
        let beyond = || BtfError::TypeBeyondEnd { id, offset: at as u64 };
        let info = u32_at(&bytes[..types.end], at + 4).ok_or_else(beyond)?;
        let raw = ((info >> 24) & 0x1f) as u8;
        let kind =
            Kind::from_raw(raw).ok_or(BtfError::Kind { id, offset: at as u64, kind: raw })?;
        let end = at + TYPE + kind.tail(info & 0xffff);
        if end > types.end {
            return Err(beyond());
        }
        // `sections` bounds all offsets by u32.
        offsets.push(at as u32);
        at = end;
    }
    offsets.shrink_to_fit();
    Ok(Parts { strings, offsets })
}

fn sections(bytes: &[u8]) -> Result<(Range<usize>, Range<usize>), BtfError> {
    let have = bytes.len() as u64;
    let truncated = |what, needed| BtfError::Truncated { what, needed, have };
    let Some(magic) = bytes.get(..2) else { return Err(truncated("the header", HEADER as u64)) };
    let magic = u16::from_ne_bytes([magic[0], magic[1]]);
    if magic.swap_bytes() == MAGIC {
        return Err(BtfError::ByteOrder);
    }
    if magic != MAGIC {
        return Err(BtfError::Magic { found: magic });
    }
    if bytes.len() < HEADER {
        return Err(truncated("the header", HEADER as u64));
    }
    if bytes[2] != 1 {
        return Err(BtfError::Header { what: "the version", found: u64::from(bytes[2]) });
    }
    let field = |at| u64::from(u32_at(bytes, at).unwrap_or_default());
    let (header, type_off, type_len) = (field(4), field(8), field(12));
    let (str_off, str_len) = (field(16), field(20));
    if header < HEADER as u64 {
        return Err(BtfError::Header { what: "its length", found: header });
    }
    let range = |what, off: u64, len: u64| {
        let (start, end) = (header + off, header + off + len);
        if end > have || end > u64::from(u32::MAX) {
            return Err(truncated(what, end));
        }
        Ok(start as usize..end as usize)
    };
    let types = range("the type section", type_off, type_len)?;
    let strings = range("the strings", str_off, str_len)?;
    if types.end != strings.start {
        // The kernel refuses gaps and overlaps too (`btf_check_sec_info`).
        return Err(BtfError::Strings("does not follow the type section"));
    }
    Ok((types, strings))
}

/// Rewrites the header after types grew by `types` bytes and strings to `strings` bytes.
pub(super) fn set_lengths(bytes: &mut [u8], types: u32, strings: u32) {
    let grown = |at| u32_at(bytes, at).unwrap_or_default() + types;
    let fields = [(12, grown(12)), (16, grown(16)), (20, strings)];
    for (at, value) in fields {
        if let Some(field) = bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
    }
}

fn check_strings(strings: &[u8]) -> Result<(), BtfError> {
    if strings.first() != Some(&0) || strings.last() != Some(&0) {
        return Err(BtfError::Strings("does not start and end with NUL"));
    }
    std::str::from_utf8(strings).map_err(|_| BtfError::Strings("is not UTF-8"))?;
    Ok(())
}
