//! Data sections become single-value array maps, as libbpf makes them.

use std::collections::HashMap;

use super::{Budget, MapPlaces, ParseError};
use crate::btf::{Btf, Kind};
use crate::elf::{Elf, Section, SectionKind};
use crate::module::{DataSection, ExternKind, Map, MapId, Module};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_F_RDONLY_PROG`.
const READ_ONLY: u32 = 1 << 7;
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;
/// Largest value of an array map the kernel considers (`array_map_alloc_check`).
const MAX_VALUE: u64 = i32::MAX as u64;

pub(super) fn collect(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    module: &mut Module,
    places: &mut MapPlaces,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let types = data_section_types(btf, budget)?;
    for section in elf.sections() {
        let section = section?;
        let Some(kind) = kind_of(&section) else { continue };
        let mut map = new(&section, kind, &types, budget)?;
        if kind != DataSection::Bss {
            budget.charge(section.data.len(), section.name)?;
            map.data = section.data.to_vec();
        }
        let id = MapId(module.maps.len() as u32);
        places.data.insert(section.index, id);
        module.maps.push(map);
    }
    kconfig(&types, module, budget)
}

fn kind_of(section: &Section<'_>) -> Option<DataSection> {
    let named = |prefix: &str| {
        section
            .name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match section.kind {
        _ if section.size == 0 => None,
        SectionKind::Data if named(".data") => Some(DataSection::Data),
        SectionKind::Data if named(".rodata") => Some(DataSection::Rodata),
        SectionKind::Zeroes if named(".bss") => Some(DataSection::Bss),
        _ => None,
    }
}

/// Data sections the BTF describes: type id, and whether a variable in it is visible outside, which
/// makes the map one that user space may map into memory.
type Types<'b> = HashMap<&'b str, (u32, bool)>;

fn data_section_types<'b>(
    btf: Option<&'b Btf>,
    budget: &mut Budget,
) -> Result<Types<'b>, ParseError> {
    let mut types = Types::new();
    let Some(btf) = btf else { return Ok(types) };
    for t in btf.types().filter(|t| t.kind() == Kind::Datasec) {
        budget.charge(64, ".BTF")?;
        let visible = t.variables().any(|v| {
            btf.type_by_id(v.type_id)
                .is_some_and(|v| v.kind() == Kind::Var && v.linkage() != Some(0))
        });
        types.entry(t.name()).or_insert((t.id(), visible));
    }
    Ok(types)
}

fn new(
    section: &Section<'_>,
    kind: DataSection,
    types: &Types<'_>,
    budget: &mut Budget,
) -> Result<Map, ParseError> {
    if section.size > MAX_VALUE {
        return Err(ParseError::Section {
            section: section.name.to_owned(),
            problem: format!("{} bytes; the kernel allows {MAX_VALUE} in one map", section.size),
        });
    }
    build(section.name, kind, section.size as u32, types, budget)
}

fn build(
    name: &str,
    kind: DataSection,
    size: u32,
    types: &Types<'_>,
    budget: &mut Budget,
) -> Result<Map, ParseError> {
    budget.charge(size_of::<Map>() + 64, name)?;
    let described = types.get(name);
    let mut flags = match kind {
        DataSection::Rodata | DataSection::Kconfig => READ_ONLY,
        DataSection::Data | DataSection::Bss => 0,
    };
    if described.is_some_and(|(_, visible)| *visible) {
        flags |= MMAPABLE;
    }
    Ok(Map {
        name: budget.name(name)?,
        kind: ARRAY,
        key_size: 4,
        value_size: size,
        max_entries: 1,
        flags,
        value_type_id: described.map(|(id, _)| *id),
        section: Some(kind),
        ..Map::default()
    })
}

/// The map that holds Kconfig values; zero until `resolve` fills it.
fn kconfig(types: &Types<'_>, module: &mut Module, budget: &mut Budget) -> Result<(), ParseError> {
    let size = module
        .externs
        .iter()
        .filter_map(|e| match e.kind {
            ExternKind::Kconfig { offset, size } => Some(offset + size),
            _ => None,
        })
        .max();
    let Some(size) = size else { return Ok(()) };
    budget.charge(size as usize, ".kconfig")?;
    let mut map = build(".kconfig", DataSection::Kconfig, size, types, budget)?;
    map.data = vec![0; size as usize];
    module.maps.push(map);
    Ok(())
}
