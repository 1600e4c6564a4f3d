//! `.BTF.ext`: function info, line info and CO-RE relocations, by ELF section.

use super::error::BtfError;
use super::raw::u32_at;

/// One record of `.BTF.ext` as the compiler wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset in the string section of `.BTF` of the name of the ELF section the record is about.
    pub section_name: u32,
    /// Byte offset of the instruction within that ELF section.
    pub insn_offset: u32,
    /// The words after the offset: type id for function info; file name, line text and packed line
    /// and column for line info; type id, access string and kind for CO-RE relocations.
    pub words: [u32; 3],
}

/// A parsed view of `.BTF.ext`.
#[derive(Clone, Copy, Debug)]
pub struct BtfExt<'d> {
    bytes: &'d [u8],
    segments: [(usize, usize); 3],
}

/// What is wrong with a record, for messages.
const BEYOND: &str = "reaches beyond the section";

impl<'d> BtfExt<'d> {
    /// Reads the header. Records are checked while they are visited.
    ///
    /// # Errors
    /// What is damaged, or that the byte order is not this machine's.
    pub fn parse(bytes: &'d [u8]) -> Result<Self, BtfError> {
        let error = |offset, problem| BtfError::Ext { what: "header", offset, problem };
        match bytes.get(..2) {
            Some(m) if u16::from_ne_bytes([m[0], m[1]]) == 0xeb9f => {}
            Some(m) if u16::from_ne_bytes([m[1], m[0]]) == 0xeb9f => {
                return Err(BtfError::ByteOrder);
            }
            Some(_) => return Err(error(0, "has no BTF magic")),
            None => return Err(error(0, BEYOND)),
        }
        let field = |at| u32_at(bytes, at).map(|v| v as usize);
        let header = field(4).ok_or_else(|| error(4, BEYOND))?;
        let mut segments = [(0, 0); 3];
        for (i, segment) in segments.iter_mut().enumerate() {
            let at = 8 + 8 * i;
            if at + 8 > header {
                // Headers written before CO-RE end after line info.
                continue;
            }
            let (offset, len) =
                field(at).zip(field(at + 4)).ok_or_else(|| error(at as u64, BEYOND))?;
            let start = header.saturating_add(offset);
            let end = start.saturating_add(len);
            if end > bytes.len() {
                return Err(error(at as u64, BEYOND));
            }
            *segment = (start, end);
        }
        Ok(Self { bytes, segments })
    }

    /// Function info: which function starts where.
    ///
    /// # Errors
    /// The first damaged record.
    pub fn functions(&self, visit: impl FnMut(Record)) -> Result<(), BtfError> {
        self.records("function info", 0, 8, visit)
    }

    /// Line info: which source line an instruction came from.
    ///
    /// # Errors
    /// The first damaged record.
    pub fn lines(&self, visit: impl FnMut(Record)) -> Result<(), BtfError> {
        self.records("line info", 1, 16, visit)
    }

    /// CO-RE relocations.
    ///
    /// # Errors
    /// The first damaged record.
    pub fn core_relocations(&self, visit: impl FnMut(Record)) -> Result<(), BtfError> {
        self.records("CO-RE relocations", 2, 16, visit)
    }

    fn records(
        &self,
        what: &'static str,
        segment: usize,
        least: usize,
        mut visit: impl FnMut(Record),
    ) -> Result<(), BtfError> {
        let (start, end) = self.segments[segment];
        if start == end {
            return Ok(());
        }
        let bytes = &self.bytes[..end];
        let error = |at: usize, problem| BtfError::Ext { what, offset: at as u64, problem };
        let size = u32_at(bytes, start).ok_or_else(|| error(start, BEYOND))? as usize;
        if size < least || !size.is_multiple_of(4) {
            return Err(error(start, "has an impossible record size"));
        }
        let mut at = start + 4;
        while at < end {
            let head = u32_at(bytes, at).zip(u32_at(bytes, at + 4));
            let (section_name, count) = head.ok_or_else(|| error(at, BEYOND))?;
            at += 8;
            for _ in 0..count {
                if size > end - at {
                    return Err(error(at, BEYOND));
                }
                let word = |i: usize| {
                    if 4 * i < size { u32_at(bytes, at + 4 * i).unwrap_or_default() } else { 0 }
                };
                visit(Record {
                    section_name,
                    insn_offset: word(0),
                    words: [word(1), word(2), word(3)],
                });
                at += size;
            }
        }
        Ok(())
    }
}
