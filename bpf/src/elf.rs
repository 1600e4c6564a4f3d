//! The object file's own structure: sections, symbols, relocation records.
//!
//! Everything is read in place; what the file declares is checked against what it holds before it
//! is used, so nothing here allocates.

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, SectionTable, Sym as _};
use object::read::{SectionIndex, SymbolIndex};

use crate::parse::ParseError;

type Header = FileHeader64<Endianness>;

/// A BPF object file.
pub(crate) struct Elf<'d> {
    data: &'d [u8],
    endian: Endianness,
    sections: SectionTable<'d, Header>,
    symbols: object::read::elf::SymbolTable<'d, Header>,
}

/// One section header with its contents.
#[derive(Clone, Copy)]
pub(crate) struct Section<'d> {
    pub(crate) index: usize,
    pub(crate) name: &'d str,
    pub(crate) kind: SectionKind,
    /// Contents; empty for sections that take no room in the file.
    pub(crate) data: &'d [u8],
    /// `sh_size`: what the file declares, which for `.bss` nothing backs.
    pub(crate) size: u64,
}

/// What a section is for, as far as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// `SHT_PROGBITS` with `SHF_EXECINSTR`.
    Code,
    /// Other `SHT_PROGBITS`.
    Data,
    /// `SHT_NOBITS`.
    Zeroes,
    /// `SHT_REL`, for the section of this index.
    Relocations(usize),
    /// `SHT_RELA`, for the section of this index.
    RelocationsWithAddend(usize),
    /// Anything else.
    Other,
}

/// One symbol.
#[derive(Clone, Copy)]
pub(crate) struct Symbol<'d> {
    pub(crate) index: usize,
    pub(crate) name: &'d str,
    pub(crate) value: u64,
    pub(crate) size: u64,
    /// Section index; 0 when undefined, `None` for absolute and other special symbols.
    pub(crate) section: Option<usize>,
    pub(crate) kind: SymbolKind,
    pub(crate) local: bool,
    pub(crate) weak: bool,
    /// `STV_HIDDEN` or `STV_INTERNAL`.
    pub(crate) hidden: bool,
}

/// `STT_*` as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    None,
    Function,
    Object,
    Section,
    Other,
}

impl Symbol<'_> {
    /// Whether the loader has to provide it (`sym_is_extern` in libbpf).
    pub(crate) fn is_extern(&self) -> bool {
        self.section == Some(0) && !self.local && self.kind == SymbolKind::None
    }
}

/// One `Elf64_Rel`.
#[derive(Clone, Copy)]
pub(crate) struct Relocation {
    pub(crate) offset: u64,
    pub(crate) symbol: usize,
    pub(crate) kind: u32,
}

impl<'d> Elf<'d> {
    pub(crate) fn parse(data: &'d [u8]) -> Result<Self, ParseError> {
        let not_elf = |e: object::Error| ParseError::NotElf { reason: e.to_string() };
        if !data.starts_with(&elf::ELFMAG) {
            return Err(ParseError::NotElf { reason: "it does not start with \\x7fELF".into() });
        }
        if data.get(4) == Some(&1) {
            return Err(ParseError::NotBpf { what: "is a 32-bit ELF file" });
        }
        let header = Header::parse(data).map_err(not_elf)?;
        let endian = header.endian().map_err(not_elf)?;
        if matches!(endian, Endianness::Big) != cfg!(target_endian = "big") {
            return Err(ParseError::NotBpf { what: "has the other byte order" });
        }
        // libbpf takes machine 0 too: old compilers wrote it.
        if !matches!(header.e_machine.get(endian), elf::EM_NONE | elf::EM_BPF) {
            return Err(ParseError::NotBpf { what: "is for another machine" });
        }
        if header.e_type.get(endian) != elf::ET_REL {
            return Err(ParseError::NotBpf { what: "is not relocatable (ET_REL)" });
        }
        let sections = header.sections(endian, data).map_err(not_elf)?;
        let symbols = sections.symbols(endian, data, elf::SHT_SYMTAB).map_err(not_elf)?;
        if symbols.is_empty() {
            return Err(ParseError::NotBpf { what: "has no symbol table (is it stripped?)" });
        }
        Ok(Self { data, endian, sections, symbols })
    }

    pub(crate) fn section_count(&self) -> usize {
        self.sections.len()
    }

    /// The section of this index; index 0 is the null section and yields an error like every index
    /// out of range.
    pub(crate) fn section(&self, index: usize) -> Result<Section<'d>, ParseError> {
        let damaged =
            |problem: String| ParseError::Section { section: format!("#{index}"), problem };
        let header = self
            .sections
            .section(SectionIndex(index))
            .ok()
            .filter(|_| index != 0)
            .ok_or_else(|| damaged(format!("the file has {} sections", self.sections.len())))?;
        let name = self
            .sections
            .section_name(self.endian, header)
            .ok()
            .and_then(|name| std::str::from_utf8(name).ok())
            .ok_or_else(|| damaged("its name is damaged".into()))?;
        let info = header.sh_info(self.endian) as usize;
        let code = header.sh_flags.get(self.endian).contains(elf::SHF_EXECINSTR);
        let kind = match header.sh_type.get(self.endian) {
            elf::SHT_PROGBITS if code => SectionKind::Code,
            elf::SHT_PROGBITS => SectionKind::Data,
            elf::SHT_NOBITS => SectionKind::Zeroes,
            elf::SHT_REL => SectionKind::Relocations(info),
            elf::SHT_RELA => SectionKind::RelocationsWithAddend(info),
            _ => SectionKind::Other,
        };
        let size = header.sh_size.get(self.endian);
        let data = header.data(self.endian, self.data).map_err(|_| ParseError::Section {
            section: name.to_owned(),
            problem: format!(
                "{size} bytes at offset {:#x} reach beyond the file's {} bytes",
                header.sh_offset.get(self.endian),
                self.data.len()
            ),
        })?;
        Ok(Section { index, name, kind, data, size })
    }

    /// All sections but the null section. Those whose contents are not read here (debug
    /// information) are still checked: a file that is cut short is refused as a whole.
    pub(crate) fn sections(&self) -> impl Iterator<Item = Result<Section<'d>, ParseError>> {
        (1..self.section_count()).map(|index| self.section(index))
    }

    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    pub(crate) fn symbol(&self, index: usize) -> Result<Symbol<'d>, ParseError> {
        let damaged = |problem: String| ParseError::Symbol { symbol: format!("#{index}"), problem };
        let number = SymbolIndex(index);
        let symbol = self
            .symbols
            .symbol(number)
            .map_err(|_| damaged(format!("the file has {} symbols", self.symbols.len())))?;
        let name = self
            .symbols
            .symbol_name(self.endian, symbol)
            .ok()
            .and_then(|name| std::str::from_utf8(name).ok())
            .ok_or_else(|| damaged("its name is damaged".into()))?;
        let section = match symbol.st_shndx.get(self.endian) {
            elf::SHN_UNDEF => Some(0),
            _ => self
                .symbols
                .symbol_section(self.endian, symbol, number)
                .map_err(|_| damaged(format!("'{name}': its section index is damaged")))?
                .map(|s| s.0),
        };
        if section.is_some_and(|s| s >= self.section_count().max(1)) {
            return Err(damaged(format!("'{name}' lies in a section that does not exist")));
        }
        let kind = match symbol.st_type() {
            elf::STT_NOTYPE => SymbolKind::None,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_SECTION => SymbolKind::Section,
            _ => SymbolKind::Other,
        };
        let binding = symbol.st_bind();
        Ok(Symbol {
            index,
            name,
            value: symbol.st_value(self.endian),
            size: symbol.st_size(self.endian),
            section,
            kind,
            local: binding == elf::STB_LOCAL,
            weak: binding == elf::STB_WEAK,
            hidden: matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
        })
    }

    /// All symbols but the null symbol.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Result<Symbol<'d>, ParseError>> {
        (1..self.symbol_count()).map(|index| self.symbol(index))
    }

    /// The records of a relocation section.
    pub(crate) fn relocations(
        &self,
        section: &Section<'d>,
    ) -> Result<impl Iterator<Item = Relocation> + use<'d>, ParseError> {
        let damaged = |problem: &str| ParseError::Section {
            section: section.name.to_owned(),
            problem: problem.to_owned(),
        };
        let header = self
            .sections
            .section(SectionIndex(section.index))
            .map_err(|_| damaged("it does not exist"))?;
        let (records, _) =
            header.rel(self.endian, self.data).ok().flatten().ok_or_else(|| {
                damaged("its records are not 16 bytes each or reach beyond the file")
            })?;
        let endian = self.endian;
        Ok(records.iter().map(move |r| Relocation {
            offset: r.r_offset(endian),
            symbol: r.r_sym(endian) as usize,
            kind: r.r_type(endian).0,
        }))
    }
}
