//! Maps declared with BTF, in `.maps`.

use super::functions::Table;
use super::{Budget, MapPlaces, ParseError, SpecialSections, shorten};
use crate::btf::{Array, Btf, Kind, Member, Type};
use crate::elf::{Elf, SectionKind};
use crate::module::{InitialSlot, Map, MapId, Module, Target};

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;
/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
const ARRAY_OF_MAPS: u32 = 12;
/// `BPF_MAP_TYPE_HASH_OF_MAPS`.
const HASH_OF_MAPS: u32 = 13;
/// Bytes of a pointer in BPF data.
const POINTER: u64 = 8;

/// Where one declared map lies within `.maps`.
struct Extent {
    start: u64,
    end: u64,
    /// Byte offset of its `values` field, from the start of `.maps`.
    values: Option<u64>,
}

pub(super) fn collect(
    special: &SpecialSections<'_>,
    btf: Option<&Btf>,
    module: &mut Module,
    places: &mut MapPlaces,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let Some(section) = &special.maps else { return Ok(()) };
    let damaged = |problem: &str| ParseError::Section {
        section: section.name.to_owned(),
        problem: problem.to_owned(),
    };
    let btf = btf.ok_or_else(|| damaged("map definitions need BTF; compile with clang -g"))?;
    let Some(list) = btf.find(".maps", Kind::Datasec) else {
        return Err(damaged("BTF does not describe it; compile with clang -g"));
    };
    places.sections.push(section.index);
    for variable in list.variables() {
        let definition = definition(btf, variable.type_id)
            .ok_or_else(|| damaged("BTF lists something that is no struct variable"))?;
        let (name, t) = definition;
        let reader = Reader { btf, map: name };
        if u64::from(variable.offset) + u64::from(variable.size) > section.size {
            return Err(reader.error("reaches beyond section '.maps'"));
        }
        let map = reader.read(t, Level::Outer, budget)?;
        let id = MapId(module.maps.len() as u32);
        places.declared.insert((section.index, u64::from(variable.offset)), id);
        module.maps.push(map);
    }
    Ok(())
}

/// Name and struct of a map variable.
fn definition(btf: &Btf, variable: u32) -> Option<(&str, Type<'_>)> {
    let variable = btf.type_by_id(variable).filter(|t| t.kind() == Kind::Var)?;
    let t = btf.strip(variable.size_or_type()).filter(|t| t.kind() == Kind::Struct)?;
    (!variable.name().is_empty()).then_some((variable.name(), t))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    Inner,
}

/// Reads one definition: a struct whose field types carry the numbers.
struct Reader<'b> {
    btf: &'b Btf,
    map: &'b str,
}

impl<'b> Reader<'b> {
    fn error(&self, problem: impl Into<String>) -> ParseError {
        ParseError::Map { map: shorten(self.map), problem: problem.into() }
    }

    fn read(&self, t: Type<'b>, level: Level, budget: &mut Budget) -> Result<Map, ParseError> {
        budget.charge(size_of::<Map>() + 64, self.map)?;
        let mut map = Map {
            name: match level {
                Level::Outer => budget.name(self.map)?,
                Level::Inner => format!("{}.inner", budget.name(self.map)?),
            },
            ..Map::default()
        };
        let last = t.members().len().saturating_sub(1);
        for (i, field) in t.members().enumerate() {
            match field.name {
                "type" => map.kind = self.number(&field)?,
                "max_entries" => map.max_entries = self.number(&field)?,
                "map_flags" => map.flags = self.number(&field)?,
                "numa_node" => map.numa_node = Some(self.number(&field)?),
                "map_extra" => map.extra = self.long(&field)?,
                "key_size" => self.size(&mut map.key_size, self.number(&field)?, "key")?,
                "value_size" => self.size(&mut map.value_size, self.number(&field)?, "value")?,
                "key" => {
                    let id = self.pointed_to(&field)?;
                    self.size(&mut map.key_size, self.size_of(&field, id)?, "key")?;
                    map.key_type_id = Some(id);
                }
                "value" => {
                    let id = self.pointed_to(&field)?;
                    self.size(&mut map.value_size, self.size_of(&field, id)?, "value")?;
                    map.value_type_id = Some(id);
                }
                "pinning" if level == Level::Outer => match self.number(&field)? {
                    0 => map.pin_by_name = false,
                    1 => map.pin_by_name = true,
                    n => return Err(self.error(format!("'pinning' is {n}, not 0 or 1 (by name)"))),
                },
                "values" if level == Level::Outer && i == last => {
                    self.size(&mut map.value_size, 4, "value")?;
                    map.inner = self.values(map.kind, &field, budget)?;
                }
                "values" if level == Level::Outer => {
                    return Err(self.error("field 'values' must come last"));
                }
                "values" | "pinning" => {
                    return Err(self.error(format!("an inner map has no '{}'", field.name)));
                }
                other => {
                    return Err(self.error(format!("unknown field '{}'", shorten(other))));
                }
            }
        }
        if map.kind == 0 {
            return Err(self.error("its definition gives no type"));
        }
        Ok(map)
    }

    /// `__uint(name, n)`: a pointer to an array of `n` elements.
    fn number(&self, field: &Member<'_>) -> Result<u32, ParseError> {
        self.btf
            .strip(field.type_id)
            .filter(|t| t.kind() == Kind::Ptr)
            .and_then(|t| self.btf.type_by_id(t.size_or_type())?.array())
            .map(|array| array.count)
            .ok_or_else(|| self.error(format!("field '{}' is no __uint()", field.name)))
    }

    /// `__ulong(name, n)`: an enumeration of one value; `__uint` is taken too.
    fn long(&self, field: &Member<'_>) -> Result<u64, ParseError> {
        let t = self.btf.strip(field.type_id).filter(|t| t.kind().is_enum());
        match t {
            Some(t) if t.count() == 1 => Ok(t.enumerators().next().map_or(0, |e| e.value as u64)),
            Some(_) => Err(self.error(format!("field '{}' is no __ulong()", field.name))),
            None => self.number(field).map(u64::from),
        }
    }

    /// `__type(name, T)`: a pointer to `T`.
    fn pointed_to(&self, field: &Member<'_>) -> Result<u32, ParseError> {
        self.btf
            .type_by_id(field.type_id)
            .filter(|t| t.kind() == Kind::Ptr)
            .map(Type::size_or_type)
            .ok_or_else(|| self.error(format!("field '{}' is no __type()", field.name)))
    }

    fn size_of(&self, field: &Member<'_>, id: u32) -> Result<u32, ParseError> {
        self.btf
            .size_of(id)
            .ok_or_else(|| self.error(format!("the type of '{}' has no size", field.name)))
    }

    fn size(&self, slot: &mut u32, size: u32, what: &str) -> Result<(), ParseError> {
        if *slot != 0 && *slot != size {
            return Err(self.error(format!("conflicting {what} sizes {slot} and {size}")));
        }
        *slot = size;
        Ok(())
    }

    /// `__array(values, T)`: the inner map's definition, or the prototype of tail-called programs.
    fn values(
        &self,
        kind: u32,
        field: &Member<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Box<Map>>, ParseError> {
        let element = self
            .btf
            .type_by_id(field.type_id)
            .and_then(Type::array)
            .filter(|array: &Array| array.count == 0)
            .and_then(|array| self.btf.strip(array.element))
            .filter(|t| t.kind() == Kind::Ptr)
            .and_then(|t| self.btf.strip(t.size_or_type()))
            .ok_or_else(|| self.error("field 'values' is no __array() of pointers"))?;
        match (kind, element.kind()) {
            (ARRAY_OF_MAPS | HASH_OF_MAPS, Kind::Struct) => {
                Ok(Some(Box::new(self.read(element, Level::Inner, budget)?)))
            }
            (PROG_ARRAY, Kind::FuncProto) => Ok(None),
            (ARRAY_OF_MAPS | HASH_OF_MAPS | PROG_ARRAY, _) => {
                Err(self.error("the elements of 'values' have the wrong type"))
            }
            _ => Err(self.error("only maps of maps and program arrays have 'values'")),
        }
    }
}

/// Static initialisers: relocations within `.maps` that fill the slots of `values`.
pub(super) fn initial_slots(
    elf: &Elf<'_>,
    special: &SpecialSections<'_>,
    btf: Option<&Btf>,
    table: &Table,
    places: &MapPlaces,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let (Some(section), Some(btf)) = (&special.maps, btf) else { return Ok(()) };
    let extents = extents(btf, budget)?;
    for relocations in elf.sections() {
        let relocations = relocations?;
        if relocations.kind != SectionKind::Relocations(section.index) {
            continue;
        }
        for relocation in elf.relocations(&relocations)? {
            let symbol = elf.symbol(relocation.symbol)?;
            let refuse = |problem: &str| ParseError::Relocation {
                section: section.name.to_owned(),
                offset: relocation.offset,
                symbol: shorten(symbol.name),
                problem: problem.to_owned(),
            };
            let at = extents.partition_point(|e| e.start <= relocation.offset);
            let extent = at
                .checked_sub(1)
                .map(|i| &extents[i])
                .filter(|e| relocation.offset.saturating_add(POINTER) <= e.end)
                .ok_or_else(|| refuse("no map lies here"))?;
            let id = places.declared.get(&(section.index, extent.start)).copied();
            let id = id.ok_or_else(|| refuse("no map lies here"))?;
            let inside = extent
                .values
                .and_then(|values| relocation.offset.checked_sub(values))
                .filter(|inside| inside % POINTER == 0)
                .ok_or_else(|| refuse("only the slots of 'values' can be initialised"))?;
            let target_place = symbol.section.map(|s| (s, symbol.value));
            let value = match module.map(id).kind {
                PROG_ARRAY => target_place
                    .and_then(|(s, offset)| table.starting_at(s, offset))
                    .filter(|f| module.programs.iter().any(|p| p.function == *f))
                    .map(Target::FunctionAddress)
                    .ok_or_else(|| refuse("this is no entry program"))?,
                _ => target_place
                    .and_then(|place| places.declared.get(&place))
                    .map(|map| Target::Map(*map))
                    .ok_or_else(|| refuse("this is no map"))?,
            };
            budget.charge(2 * size_of::<InitialSlot>(), symbol.name)?;
            let slot = u32::try_from(inside / POINTER).unwrap_or(u32::MAX);
            module.maps[id.0 as usize].initial.push(InitialSlot { slot, value });
        }
    }
    Ok(())
}

fn extents(btf: &Btf, budget: &mut Budget) -> Result<Vec<Extent>, ParseError> {
    let mut extents = Vec::new();
    let Some(list) = btf.find(".maps", Kind::Datasec) else { return Ok(extents) };
    for variable in list.variables() {
        budget.charge(2 * size_of::<Extent>(), ".maps")?;
        let start = u64::from(variable.offset);
        let values = definition(btf, variable.type_id)
            .and_then(|(_, t)| t.members().find(|m| m.name == "values"))
            .map(|m| start + u64::from(m.bit_offset / 8));
        extents.push(Extent { start, end: start + u64::from(variable.size), values });
    }
    // The fix-up sorted the variables already; a damaged file's are sorted here.
    extents.sort_by_key(|e| e.start);
    Ok(extents)
}
