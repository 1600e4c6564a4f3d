//! Finds functions by their symbols and turns their code into instructions with symbolic jumps.

use super::{Budget, ParseError, shorten};
use crate::elf::{Elf, Section, SectionKind, Symbol, SymbolKind};
use crate::insn::{Insn, JumpKind};
use crate::module::{Function, FunctionId, Inst, InstId, Linkage, Module, Target};

/// Where a function lies in the file.
pub(super) struct Place {
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Whether its symbol is global or weak.
    pub(super) global: bool,
    /// Whether its symbol is global but hidden, which asks for static verification.
    pub(super) hidden: bool,
    /// Whether it lies in `.text`, where subprograms live.
    pub(super) in_text: bool,
}

/// All functions by section and offset; a function's position is its [`FunctionId`].
pub(super) struct Table {
    places: Vec<Place>,
}

impl Table {
    pub(super) fn iter(&self) -> impl Iterator<Item = (FunctionId, &Place)> {
        self.places.iter().enumerate().map(|(i, place)| (FunctionId(i as u32), place))
    }

    /// The function that starts at this byte of this section.
    pub(super) fn starting_at(&self, section: usize, offset: u64) -> Option<FunctionId> {
        let first = self.places.partition_point(|p| (p.section, p.offset) < (section, offset));
        let place = self.places.get(first)?;
        ((place.section, place.offset) == (section, offset)).then_some(FunctionId(first as u32))
    }

    /// The function whose code covers this byte, and the slot within it.
    pub(super) fn covering(&self, section: usize, offset: u64) -> Option<(FunctionId, u32)> {
        let after = self.places.partition_point(|p| (p.section, p.offset) <= (section, offset));
        let index = after.checked_sub(1)?;
        let place = &self.places[index];
        let inside = place.section == section && offset - place.offset < place.size;
        // A function's code is bounded by the budget, its slots by u32.
        inside.then(|| (FunctionId(index as u32), ((offset - place.offset) / 8) as u32))
    }
}

/// One function's name and place, before its code is read.
struct Found<'d> {
    name: &'d str,
    place: Place,
}

pub(super) fn collect(
    elf: &Elf<'_>,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<Table, ParseError> {
    let mut found = find(elf, budget)?;
    // Of several names for the same code (aliases) a global one is kept.
    found.sort_by_key(|f| (f.place.section, f.place.offset, !f.place.global));
    found.dedup_by_key(|f| (f.place.section, f.place.offset, f.place.size));
    refuse_overlaps(&found)?;
    let mut places = Vec::with_capacity(found.len());
    module.functions.reserve_exact(found.len());
    for Found { name, place } in found {
        let section = elf.section(place.section)?;
        let bytes = code_of(&section, name, &place)?;
        budget.charge(size_of::<Function>() + size_of::<Place>(), name)?;
        budget.charge(bytes.len() / Insn::SIZE * size_of::<Inst>(), name)?;
        let code = decode(name, bytes)?;
        module.functions.push(Function {
            name: budget.name(name)?,
            section: budget.name(section.name)?,
            section_offset: place.offset,
            linkage: if place.global && !place.hidden { Linkage::Global } else { Linkage::Static },
            btf_type_id: None,
            code,
            next_id: (bytes.len() / Insn::SIZE) as u32,
        });
        places.push(place);
    }
    Ok(Table { places })
}

fn find<'d>(elf: &Elf<'d>, budget: &mut Budget) -> Result<Vec<Found<'d>>, ParseError> {
    budget.charge(elf.section_count(), "the section table")?;
    let mut has_functions = vec![false; elf.section_count()];
    for symbol in elf.symbols() {
        let symbol = symbol?;
        if let (SymbolKind::Function, Some(section)) = (symbol.kind, symbol.section) {
            has_functions[section] = true;
        }
    }
    let mut found = Vec::new();
    for symbol in elf.symbols() {
        let symbol = symbol?;
        let Some(index) = symbol.section.filter(|&s| s != 0) else { continue };
        // Compilers before LLVM 7 gave functions no type.
        let untyped = symbol.kind == SymbolKind::None && !symbol.local && !has_functions[index];
        if symbol.kind != SymbolKind::Function && !untyped {
            continue;
        }
        let section = elf.section(index)?;
        if section.kind != SectionKind::Code || section.data.is_empty() {
            continue;
        }
        budget.charge(size_of::<Found<'_>>(), symbol.name)?;
        found.push(Found { name: symbol.name, place: place_of(&symbol, &section) });
    }
    fill_sizes(elf, &mut found)?;
    Ok(found)
}

/// Code that belonged to two functions would be relocated in one of them only.
fn refuse_overlaps(found: &[Found<'_>]) -> Result<(), ParseError> {
    for pair in found.windows(2) {
        let [a, b] = pair else { continue };
        let inside = b.place.offset.wrapping_sub(a.place.offset) < a.place.size;
        if a.place.section == b.place.section && inside {
            return Err(ParseError::Symbol {
                symbol: shorten(b.name),
                problem: format!("it lies within function '{}'", shorten(a.name)),
            });
        }
    }
    Ok(())
}

fn place_of(symbol: &Symbol<'_>, section: &Section<'_>) -> Place {
    Place {
        section: section.index,
        offset: symbol.value,
        size: symbol.size,
        global: !symbol.local,
        hidden: !symbol.local && symbol.hidden,
        in_text: section.name == ".text",
    }
}

/// Gives untyped symbols, which carry no size, the room up to the next one.
fn fill_sizes(elf: &Elf<'_>, found: &mut [Found<'_>]) -> Result<(), ParseError> {
    found.sort_by_key(|f| (f.place.section, f.place.offset));
    for i in 0..found.len() {
        let place = &found[i].place;
        if place.size != 0 {
            continue;
        }
        let end = match found.get(i + 1) {
            Some(next) if next.place.section == place.section => next.place.offset,
            _ => elf.section(place.section)?.data.len() as u64,
        };
        found[i].place.size = end.saturating_sub(found[i].place.offset);
    }
    Ok(())
}

fn code_of<'d>(section: &Section<'d>, name: &str, place: &Place) -> Result<&'d [u8], ParseError> {
    let damaged = |problem: String| ParseError::Symbol { symbol: shorten(name), problem };
    if place.size == 0 || !place.size.is_multiple_of(8) || !place.offset.is_multiple_of(8) {
        return Err(damaged(format!(
            "{} bytes at offset {:#x} of section '{}' are no sequence of instructions",
            place.size, place.offset, section.name
        )));
    }
    let end = place.offset.checked_add(place.size).filter(|&e| e <= section.data.len() as u64);
    let Some(end) = end else {
        return Err(damaged(format!(
            "{} bytes at offset {:#x} reach beyond section '{}' of {} bytes",
            place.size,
            place.offset,
            section.name,
            section.data.len()
        )));
    };
    Ok(&section.data[place.offset as usize..end as usize])
}

/// Splits code into instructions, wide ones joined, and makes jumps symbolic. An instruction's
/// [`InstId`] is its slot.
fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Inst>, ParseError> {
    let (slots, _) = bytes.as_chunks::<8>();
    let error = |slot: usize, problem: String| ParseError::Instruction {
        function: shorten(name),
        slot: slot as u32,
        problem,
    };
    let mut code = Vec::with_capacity(slots.len());
    let mut slot = 0;
    while slot < slots.len() {
        let insn = Insn::from_ne_bytes(slots[slot]);
        let mut wide_imm = None;
        if insn.is_wide() {
            let second = slots.get(slot + 1).map(|s| Insn::from_ne_bytes(*s));
            match second {
                Some(Insn { code: 0, regs: 0, off: 0, imm }) => wide_imm = Some(imm),
                _ => {
                    return Err(error(slot, "64-bit load without its second half".into()));
                }
            }
        }
        code.push(Inst {
            id: InstId(slot as u32),
            insn,
            wide_imm,
            target: Target::None,
            origin: Some(slot as u32),
            line: None,
        });
        slot += if wide_imm.is_some() { 2 } else { 1 };
    }
    for i in 0..code.len() {
        let Inst { insn, id, .. } = code[i];
        let Some(kind) = insn.jump_kind() else { continue };
        let distance = match kind {
            JumpKind::Offset => i64::from(insn.off),
            JumpKind::Immediate => i64::from(insn.imm),
        };
        let to = i64::from(id.0) + 1 + distance;
        let exists = u32::try_from(to)
            .is_ok_and(|to| code.binary_search_by_key(&InstId(to), |inst| inst.id).is_ok());
        if !exists {
            return Err(error(
                id.0 as usize,
                format!("jumps to slot {to}, where no instruction of the function starts"),
            ));
        }
        code[i].target = Target::Jump(InstId(to as u32));
    }
    Ok(code)
}
