//! The older `maps` sections: an array of structs, one per symbol, in three dialects.
//!
//! libbpf's and the kernel samples' `struct bpf_map_def` starts with type, key size, value size,
//! number of entries and flags, 4 bytes each. iproute2's `struct bpf_elf_map` (36 bytes) goes on
//! with id, pinning, inner id and inner index; gobpf's with pinning and a namespace (280 bytes);
//! the samples' with inner map index and NUMA node (28 bytes); aya's, of the same size, with id and
//! pinning. Types of key and value, where given,
//! are in a struct `____btf_map_<name>` of the object's BTF (`BPF_ANNOTATE_KV_PAIR`).

use std::collections::HashMap;

use super::{Budget, MapPlaces, ParseError, SpecialSections, shorten};
use crate::btf::{Btf, Kind};
use crate::elf::{Elf, Section, SymbolKind};
use crate::module::{InitialSlot, Map, MapId, Module, Target};

/// `sizeof(struct bpf_elf_map)` of iproute2.
const IPROUTE2: usize = 36;
/// `sizeof(struct bpf_map_def)` of gobpf.
const GOBPF: usize = 280;
/// `sizeof(struct bpf_map_def)` of the kernel samples, and of aya.
const SAMPLES: usize = 28;
/// Type, key size, value size and number of entries: the oldest definition.
const LEAST: usize = 16;
/// `BPF_F_NUMA_NODE`.
const NUMA_NODE: u32 = 1 << 2;
/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;

/// One definition's place.
struct Definition<'d> {
    name: &'d str,
    offset: u64,
    size: u64,
}

pub(super) fn collect(
    elf: &Elf<'_>,
    special: &SpecialSections<'_>,
    btf: Option<&Btf>,
    module: &mut Module,
    places: &mut MapPlaces,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let types = annotations(special, btf, budget)?;
    for section in &special.legacy_maps {
        places.sections.push(section.index);
        for definition in definitions(elf, section, budget)? {
            budget.charge(size_of::<Map>() + 64, definition.name)?;
            let mut map = read(section, &definition, budget)?;
            if let Some(&(key, value)) = types.get(definition.name) {
                (map.key_type_id, map.value_type_id) = (Some(key), Some(value));
            }
            let id = MapId(module.maps.len() as u32);
            places.declared.insert((section.index, definition.offset), id);
            module.maps.push(map);
        }
    }
    Ok(())
}

/// Key and value type ids by map name.
fn annotations<'b>(
    special: &SpecialSections<'_>,
    btf: Option<&'b Btf>,
    budget: &mut Budget,
) -> Result<HashMap<&'b str, (u32, u32)>, ParseError> {
    let mut types = HashMap::new();
    let Some(btf) = btf.filter(|_| !special.legacy_maps.is_empty()) else { return Ok(types) };
    for t in btf.types().filter(|t| t.kind() == Kind::Struct) {
        let Some(map) = t.name().strip_prefix("____btf_map_") else { continue };
        let member = |name| t.members().find(|m| m.name == name).map(|m| m.type_id);
        if let (Some(key), Some(value)) = (member("key"), member("value")) {
            budget.charge(64, ".BTF")?;
            types.insert(map, (key, value));
        }
    }
    Ok(types)
}

fn definitions<'d>(
    elf: &Elf<'d>,
    section: &Section<'d>,
    budget: &mut Budget,
) -> Result<Vec<Definition<'d>>, ParseError> {
    let mut found = Vec::new();
    for symbol in elf.symbols() {
        let symbol = symbol?;
        let named = !symbol.name.is_empty() && symbol.kind != SymbolKind::Section;
        if symbol.section == Some(section.index) && named {
            budget.charge(2 * size_of::<Definition<'_>>(), symbol.name)?;
            found.push(Definition { name: symbol.name, offset: symbol.value, size: 0 });
        }
    }
    found.sort_by_key(|d| d.offset);
    found.dedup_by_key(|d| d.offset);
    for i in 0..found.len() {
        let end = found.get(i + 1).map_or(section.data.len() as u64, |next| next.offset);
        found[i].size = end.saturating_sub(found[i].offset);
    }
    Ok(found)
}

fn read(
    section: &Section<'_>,
    definition: &Definition<'_>,
    budget: &mut Budget,
) -> Result<Map, ParseError> {
    let error = |problem: String| ParseError::Map { map: shorten(definition.name), problem };
    let start = usize::try_from(definition.offset).unwrap_or(usize::MAX);
    let size = definition.size as usize;
    let bytes = start
        .checked_add(size)
        .and_then(|end| section.data.get(start..end))
        .filter(|bytes| bytes.len() >= LEAST)
        .ok_or_else(|| {
            error(format!("its definition of {size} bytes is shorter than {LEAST} bytes"))
        })?;
    let word = |i: usize| {
        let field = bytes.get(4 * i..4 * i + 4).and_then(|f| f.try_into().ok());
        field.map_or(0, u32::from_ne_bytes)
    };
    let flags = word(4);
    let pinning = match size {
        IPROUTE2 => word(6),
        GOBPF => word(5),
        // The samples have a node here, which only counts together with its flag.
        SAMPLES if flags & NUMA_NODE == 0 => u32::from(word(6) == 1),
        _ => 0,
    };
    let numa_node = (size == SAMPLES && flags & NUMA_NODE != 0).then(|| word(6));
    Ok(Map {
        name: budget.name(definition.name)?,
        kind: word(0),
        key_size: word(1),
        value_size: word(2),
        max_entries: word(3),
        flags,
        extra: 0,
        numa_node,
        pin_by_name: pinning != 0,
        key_type_id: None,
        value_type_id: None,
        inner: None,
        initial: Vec::new(),
        data: Vec::new(),
        section: None,
    })
}

/// iproute2's links between maps and programs: an inner map is named by id or by index, a program
/// by a section called `<map id>/<slot>`.
pub(super) fn initial_slots(
    module: &mut Module,
    special: &SpecialSections<'_>,
    places: &MapPlaces,
) -> Result<(), ParseError> {
    for section in &special.legacy_maps {
        let mut links: Vec<_> = places
            .declared
            .iter()
            .filter(|((index, _), _)| *index == section.index)
            .map(|((_, offset), id)| (*offset, *id))
            .collect();
        links.sort_unstable();
        let word = |offset: u64, i: u64| {
            let at = (offset + 4 * i) as usize;
            let field = section.data.get(at..at + 4).and_then(|f| f.try_into().ok());
            field.map_or(0, u32::from_ne_bytes)
        };
        let size = |i: usize| {
            let end = links.get(i + 1).map_or(section.data.len() as u64, |next| next.0);
            (end - links[i].0) as usize
        };
        for (i, &(offset, map)) in links.iter().enumerate() {
            match size(i) {
                IPROUTE2 => {
                    let (id, inner_id, inner_index) =
                        (word(offset, 5), word(offset, 7), word(offset, 8));
                    let inner = links
                        .iter()
                        .filter(|_| inner_id != 0)
                        .find(|(other, _)| word(*other, 5) == inner_id);
                    if let Some((_, inner)) = inner {
                        link_inner(module, map, *inner, Some(inner_index));
                    }
                    if module.map(map).kind == PROG_ARRAY && id != 0 {
                        link_programs(module, map, id);
                    }
                }
                SAMPLES if matches!(module.map(map).kind, 12 | 13) => {
                    if let Some((_, inner)) = links.get(word(offset, 5) as usize) {
                        link_inner(module, map, *inner, None);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn link_inner(module: &mut Module, outer: MapId, inner: MapId, slot: Option<u32>) {
    if outer == inner || !matches!(module.map(outer).kind, 12 | 13) {
        return;
    }
    let template = Map { inner: None, initial: Vec::new(), ..module.map(inner).clone() };
    let outer = &mut module.maps[outer.0 as usize];
    outer.inner = Some(Box::new(template));
    if let Some(slot) = slot {
        outer.initial.push(InitialSlot { slot, value: Target::Map(inner) });
    }
}

fn link_programs(module: &mut Module, map: MapId, id: u32) {
    let slots: Vec<_> = module
        .programs
        .iter()
        .filter_map(|program| {
            let (section_id, slot) = program.section.split_once('/')?;
            let matches = section_id.parse() == Ok(id);
            let value = Target::FunctionAddress(program.function);
            Some(InitialSlot { slot: slot.parse().ok().filter(|_| matches)?, value })
        })
        .collect();
    module.maps[map.0 as usize].initial.extend(slots);
}
