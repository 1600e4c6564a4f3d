//! From ELF bytes to a [`Module`]. Pure: no kernel, no privilege, no file system.
//!
//! libbpf is the yardstick: what it takes is taken with the same meaning. On top of that, section
//! names are hints only, static functions may lie in program sections, and the older `maps`
//! sections are read.

mod budget;
mod data;
mod debug_info;
mod error;
mod externs;
mod fixup;
mod functions;
mod legacy_maps;
mod maps;
mod relocate;
mod section_name;
mod select;

pub use error::ParseError;
pub use select::{SelectError, Selector};

use std::collections::HashMap;

use crate::btf::Btf;
use crate::elf::{Elf, Section, SectionKind};
use crate::module::{Linkage, MapId, Module, Program};
use budget::{Budget, shorten};

/// Where the maps of an object lie, for relocations.
#[derive(Default)]
struct MapPlaces {
    /// Declared maps by section index and byte offset.
    declared: HashMap<(usize, u64), MapId>,
    /// Sections that hold declared maps.
    sections: Vec<usize>,
    /// Data sections by section index.
    data: HashMap<usize, MapId>,
}

impl Module {
    /// Reads an object file. `name` says where it came from and is only used in messages.
    ///
    /// # Errors
    /// Which section, symbol or instruction is damaged, or makes no sense.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, ParseError> {
        let elf = Elf::parse(bytes)?;
        let mut budget = Budget::new();
        let mut module = Self {
            name: name.to_owned(),
            license: String::new(),
            programs: Vec::new(),
            functions: Vec::new(),
            maps: Vec::new(),
            externs: Vec::new(),
            btf: Vec::new(),
            core_relocations: Vec::new(),
            lines: Vec::new(),
        };
        let special = SpecialSections::find(&elf)?;
        if let Some(license) = &special.license {
            module.license = license_text(license.data);
        }
        let mut btf = read_btf(&elf, &special, &mut budget)?;
        let externs = externs::collect(&elf, btf.as_ref(), &mut module, &mut budget)?;
        if let Some(btf) = &mut btf {
            fixup::apply(&elf, btf, &module.externs, &mut budget)?;
        }
        let table = functions::collect(&elf, &mut module, &mut budget)?;
        let mut places = MapPlaces::default();
        maps::collect(&special, btf.as_ref(), &mut module, &mut places, &mut budget)?;
        legacy_maps::collect(&elf, &special, btf.as_ref(), &mut module, &mut places, &mut budget)?;
        data::collect(&elf, btf.as_ref(), &mut module, &mut places, &mut budget)?;
        relocate::apply(&elf, &table, &externs, &places, &mut module)?;
        collect_programs(&table, &mut module, &mut budget)?;
        maps::initial_slots(
            &elf,
            &special,
            btf.as_ref(),
            &table,
            &places,
            &mut module,
            &mut budget,
        )?;
        legacy_maps::initial_slots(&mut module, &special, &places)?;
        if let Some(btf) = btf {
            if let Some(ext) = &special.btf_ext {
                debug_info::attach(&elf, ext.data, &btf, &table, &mut module, &mut budget)?;
            }
            fixup::hide_functions(&table, &mut module, btf);
        }
        Ok(module)
    }
}

/// Sections with a meaning of their own.
#[derive(Default)]
struct SpecialSections<'d> {
    license: Option<Section<'d>>,
    btf: Option<Section<'d>>,
    btf_ext: Option<Section<'d>>,
    /// `.maps`.
    maps: Option<Section<'d>>,
    /// `maps`, or `maps/...` one map per section.
    legacy_maps: Vec<Section<'d>>,
}

impl<'d> SpecialSections<'d> {
    fn find(elf: &Elf<'d>) -> Result<Self, ParseError> {
        let mut found = Self::default();
        for section in elf.sections() {
            let section = section?;
            if section.kind != SectionKind::Data {
                continue;
            }
            match section.name {
                "license" => found.license = Some(section),
                ".BTF" => found.btf = Some(section),
                ".BTF.ext" => found.btf_ext = Some(section),
                ".maps" => found.maps = Some(section),
                name if name == "maps" || name.starts_with("maps/") => {
                    found.legacy_maps.push(section);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Reads `.BTF`. As in libbpf, damaged BTF matters only to an object that cannot do without.
fn read_btf(
    elf: &Elf<'_>,
    special: &SpecialSections<'_>,
    budget: &mut Budget,
) -> Result<Option<Btf>, ParseError> {
    let Some(section) = &special.btf else { return Ok(None) };
    budget.charge(section.data.len() * 2, ".BTF")?;
    match Btf::parse(section.data) {
        Ok(btf) => Ok(Some(btf)),
        Err(error) => {
            let needed = special.maps.is_some() || externs::any(elf)?;
            if needed { Err(error.into()) } else { Ok(None) }
        }
    }
}

/// The kernel reads 128 bytes of licence at most.
fn license_text(data: &[u8]) -> String {
    let text = data.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(127)]).into_owned()
}

/// Entry programs: the global functions outside `.text`; a lone function in `.text` when nothing
/// else can be entered.
fn collect_programs(
    table: &functions::Table,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let entries = |in_text: bool| {
        table.iter().filter(move |(_, f)| f.global && f.in_text == in_text).map(|(id, _)| id)
    };
    let mut ids: Vec<_> = entries(false).collect();
    if ids.is_empty() {
        ids = entries(true).collect();
        if ids.len() != 1 {
            return Err(ParseError::NoProgram);
        }
    }
    for id in ids {
        let function = &mut module.functions[id.0 as usize];
        function.linkage = Linkage::Global;
        let (hint, frags) = section_name::classify(&function.section);
        budget.charge(size_of::<Program>(), &function.name)?;
        module.programs.push(Program {
            name: budget.name(&function.name)?,
            section: budget.name(&function.section)?,
            function: id,
            hint,
            frags,
        });
    }
    Ok(())
}
