//! Completes the object's BTF with what only the ELF file knows, as libbpf does before it hands
//! BTF to the kernel. Clang leaves the sizes of data sections and the offsets in them zero.

use std::collections::HashMap;

use super::functions::Table;
use super::{Budget, ParseError, shorten};
use crate::btf::{Btf, Kind, Variable};
use crate::elf::{Elf, Symbol, SymbolKind};
use crate::module::{Extern, ExternKind, Linkage, Module};

/// Offsets of fields within `struct btf_type` and what follows it.
const INFO: usize = 4;
const SIZE: usize = 8;
const TAIL: usize = 12;
/// `BTF_VAR_STATIC` and `BTF_VAR_GLOBAL_ALLOCATED`.
const STATIC: u32 = 0;
const ALLOCATED: u32 = 1;

/// One word to write into the section.
type Patch = (usize, u32);

/// A data section as the patches see it.
struct Section<'b> {
    at: usize,
    name: &'b str,
    declared_size: u32,
    variables: Vec<Variable>,
}

pub(super) fn apply(
    elf: &Elf<'_>,
    btf: &mut Btf,
    externs: &[Extern],
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let mut patches = Vec::new();
    if !btf.types().any(|t| t.kind() == Kind::Datasec) {
        return Ok(());
    }
    let symbols = variable_symbols(elf, budget)?;
    for t in btf.types().filter(|t| t.kind() == Kind::Datasec) {
        budget.charge(t.count() as usize * 48, ".BTF")?;
        let mut section = Section {
            at: t.section_offset(),
            name: t.name(),
            declared_size: t.size_or_type(),
            variables: t.variables().collect(),
        };
        match section.name {
            // Depends on nothing but the BTF itself: left to the image.
            ".ksyms" => continue,
            ".kconfig" => kconfig(btf, externs, &mut section, &mut patches),
            _ => allocated(elf, btf, &symbols, &mut section, &mut patches)?,
        }
        section.variables.sort_by_key(|v| v.offset);
        for (i, v) in section.variables.iter().enumerate() {
            let at = section.at + TAIL + 12 * i;
            patches.extend([(at, v.type_id), (at + 4, v.offset), (at + 8, v.size)]);
        }
    }
    for (at, word) in patches {
        btf.set_word(at, word);
    }
    Ok(())
}

fn kconfig(btf: &Btf, externs: &[Extern], section: &mut Section<'_>, patches: &mut Vec<Patch>) {
    let places: HashMap<u32, (u32, u32)> = externs
        .iter()
        .filter_map(|e| match e.kind {
            ExternKind::Kconfig { offset, size } => Some((e.btf_type_id?, (offset, size))),
            _ => None,
        })
        .collect();
    let size = places.values().map(|(offset, size)| offset + size).max().unwrap_or(0);
    patches.push((section.at + SIZE, size));
    for variable in &mut section.variables {
        if let Some(&(offset, _)) = places.get(&variable.type_id) {
            variable.offset = offset;
        }
        if let Some(t) = btf.type_by_id(variable.type_id).filter(|t| t.kind() == Kind::Var) {
            patches.push((t.section_offset() + TAIL, ALLOCATED));
        }
    }
}

fn allocated(
    elf: &Elf<'_>,
    btf: &Btf,
    symbols: &HashMap<&str, Symbol<'_>>,
    section: &mut Section<'_>,
    patches: &mut Vec<Patch>,
) -> Result<(), ParseError> {
    let incomplete = section.declared_size == 0;
    if incomplete {
        let size = section_size(elf, section.name)?;
        patches.push((section.at + SIZE, size));
    }
    for variable in &mut section.variables {
        let Some(t) = btf.type_by_id(variable.type_id) else { continue };
        if t.linkage() != Some(ALLOCATED) || t.kind() != Kind::Var {
            continue;
        }
        let Some(symbol) = symbols.get(t.name()) else {
            return Err(ParseError::Symbol {
                symbol: shorten(t.name()),
                problem: format!(
                    "BTF places it in section '{}', but the file has no such symbol",
                    shorten(section.name)
                ),
            });
        };
        if incomplete {
            variable.offset = u32::try_from(symbol.value).unwrap_or(u32::MAX);
        }
        if symbol.hidden {
            patches.push((t.section_offset() + TAIL, STATIC));
        }
    }
    Ok(())
}

fn section_size(elf: &Elf<'_>, name: &str) -> Result<u32, ParseError> {
    for section in elf.sections() {
        let section = section?;
        if section.name == name && section.size != 0 {
            return u32::try_from(section.size).map_err(|_| ParseError::Section {
                section: shorten(name),
                problem: format!("its size of {} bytes does not fit 32 bits", section.size),
            });
        }
    }
    Err(ParseError::Section {
        section: shorten(name),
        problem: "BTF describes it, but the file has no such section".into(),
    })
}

/// Global and weak variables by name.
fn variable_symbols<'d>(
    elf: &Elf<'d>,
    budget: &mut Budget,
) -> Result<HashMap<&'d str, Symbol<'d>>, ParseError> {
    let mut found = HashMap::new();
    for symbol in elf.symbols() {
        let symbol = symbol?;
        if symbol.kind == SymbolKind::Object && !symbol.local {
            budget.charge(2 * size_of::<Symbol<'_>>(), symbol.name)?;
            found.entry(symbol.name).or_insert(symbol);
        }
    }
    Ok(found)
}

/// Marks hidden global subprograms static, so that the verifier follows them from their callers,
/// and hands the finished BTF to the module.
pub(super) fn hide_functions(table: &Table, module: &mut Module, mut btf: Btf) {
    for (id, _) in table.iter().filter(|(_, place)| place.hidden && place.in_text) {
        let function = &mut module.functions[id.0 as usize];
        let found = function.btf_type_id.and_then(|id| btf.type_by_id(id));
        if let Some(t) = found.filter(|t| t.kind() == Kind::Func && t.linkage() == Some(1)) {
            let at = t.section_offset() + INFO;
            btf.set_word(at, (Kind::Func as u32) << 24);
            function.linkage = Linkage::Static;
        }
    }
    module.btf = btf.into_bytes();
}
