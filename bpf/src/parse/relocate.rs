//! Turns ELF relocations against code into symbolic references.

use super::externs::BySymbol;
use super::functions::Table;
use super::{MapPlaces, ParseError, shorten};
use crate::elf::{Elf, Relocation, Section, SectionKind, Symbol, SymbolKind};
use crate::insn::Insn;
use crate::module::{ExternKind, FunctionId, InstId, Module, Target};

/// `R_BPF_64_64`: a wide load.
const WIDE: u32 = 1;
/// `R_BPF_64_32`: a call.
const CALL: u32 = 10;
/// Source register values of `linux/bpf.h`.
const PSEUDO_CALL: u8 = 1;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_KFUNC_CALL: u8 = 2;
const PSEUDO_FUNC: u8 = 4;

pub(super) fn apply(
    elf: &Elf<'_>,
    table: &Table,
    externs: &BySymbol,
    places: &MapPlaces,
    module: &mut Module,
) -> Result<(), ParseError> {
    for relocations in elf.sections() {
        let relocations = relocations?;
        let (index, addend) = match relocations.kind {
            SectionKind::Relocations(index) => (index, false),
            SectionKind::RelocationsWithAddend(index) => (index, true),
            _ => continue,
        };
        let section = elf.section(index)?;
        if section.kind != SectionKind::Code {
            continue;
        }
        if addend {
            return Err(ParseError::Section {
                section: shorten(relocations.name),
                problem: "BPF code has relocations without addend (SHT_REL), not with".into(),
            });
        }
        for relocation in elf.relocations(&relocations)? {
            let one = One { elf, table, externs, places, section: &section, relocation };
            one.apply(module)?;
        }
    }
    calls_within_sections(table, module)
}

/// One relocation and what it is judged by.
struct One<'a, 'd> {
    elf: &'a Elf<'d>,
    table: &'a Table,
    externs: &'a BySymbol,
    places: &'a MapPlaces,
    section: &'a Section<'d>,
    relocation: Relocation,
}

impl One<'_, '_> {
    fn apply(&self, module: &mut Module) -> Result<(), ParseError> {
        let Relocation { offset, symbol, kind } = self.relocation;
        let symbol = self.elf.symbol(symbol)?;
        let error = |problem: String| self.error(&symbol, problem);
        if offset % 8 != 0 || offset >= self.section.data.len() as u64 {
            return Err(error("it is not at an instruction of the section".into()));
        }
        let Some((function, slot)) = self.table.covering(self.section.index, offset) else {
            // Code of a weak function that another definition replaced.
            return Ok(());
        };
        let code = &mut module.functions[function.0 as usize].code;
        let Ok(at) = code.binary_search_by_key(&InstId(slot), |inst| inst.id) else {
            return Err(error("it is in the second half of a 64-bit load".into()));
        };
        let insn = code[at].insn;
        let target = match kind {
            WIDE if insn.is_wide() => self.wide(&symbol, insn, module)?,
            CALL if insn.is_call() => self.call(&symbol, insn, module)?,
            WIDE | CALL => {
                let problem =
                    format!("type {kind} does not fit instruction code {:#04x}", insn.code);
                return Err(error(problem));
            }
            _ => return Err(error(format!("type {kind} is unknown for code"))),
        };
        let inst = &mut module.functions[function.0 as usize].code[at];
        inst.target = target;
        let dst = insn.dst();
        let source = match target {
            Target::Call(_) => PSEUDO_CALL,
            Target::FunctionAddress(_) => PSEUDO_FUNC,
            Target::Map(_) => PSEUDO_MAP_FD,
            Target::MapValue { .. } => PSEUDO_MAP_VALUE,
            Target::Extern(_) if insn.is_call() => PSEUDO_KFUNC_CALL,
            Target::Extern(_) | Target::Jump(_) | Target::None => insn.src(),
        };
        inst.insn = Insn::new(insn.code, dst, source, insn.off, insn.imm);
        Ok(())
    }

    fn error(&self, symbol: &Symbol<'_>, problem: String) -> ParseError {
        let name = match symbol.section {
            Some(index) if symbol.name.is_empty() => {
                self.elf.section(index).map_or("", |section| section.name)
            }
            _ => symbol.name,
        };
        ParseError::Relocation {
            section: shorten(self.section.name),
            offset: self.relocation.offset,
            symbol: shorten(name),
            problem,
        }
    }

    fn external(&self, symbol: &Symbol<'_>) -> Result<Target, ParseError> {
        self.externs.get(&symbol.index).map(|id| Target::Extern(*id)).ok_or_else(|| {
            let problem = "it is undefined, and BTF declares it neither __ksym nor __kconfig";
            self.error(symbol, problem.into())
        })
    }

    fn call(&self, symbol: &Symbol<'_>, insn: Insn, module: &Module) -> Result<Target, ParseError> {
        if symbol.is_extern() {
            let target = self.external(symbol)?;
            let called = match target {
                Target::Extern(id) => module.external(id).kind,
                _ => ExternKind::Kfunc,
            };
            return match called {
                ExternKind::Kfunc => Ok(target),
                _ => Err(self.error(symbol, "it is called, but is no function".into())),
            };
        }
        if insn.src() != PSEUDO_CALL {
            return Err(self.error(symbol, "the call is not one of a BPF function".into()));
        }
        // The immediate counts from the instruction after the call: -1 for a global function's own
        // symbol, the function's slot less 1 for the section's symbol.
        let offset = i64::from(insn.imm).wrapping_add(1).wrapping_mul(8);
        self.function_at(symbol, offset)
            .map(Target::Call)
            .ok_or_else(|| self.error(symbol, "no function starts where the call leads".into()))
    }

    fn function_at(&self, symbol: &Symbol<'_>, offset: i64) -> Option<FunctionId> {
        let at = symbol.value.checked_add_signed(offset)?;
        self.table.starting_at(symbol.section?, at)
    }

    fn wide(&self, symbol: &Symbol<'_>, insn: Insn, module: &Module) -> Result<Target, ParseError> {
        if symbol.is_extern() {
            return self.external(symbol);
        }
        let Some(index) = symbol.section.filter(|&index| index != 0) else {
            return Err(self.error(symbol, "it lies in no section".into()));
        };
        if let Some(&map) = self.places.data.get(&index) {
            let offset = i64::from(insn.imm).checked_add_unsigned(symbol.value);
            let size = module.map(map).value_size;
            // One past the end is a valid address to compare with.
            return match offset.and_then(|o| u32::try_from(o).ok()).filter(|o| *o <= size) {
                Some(offset) => Ok(Target::MapValue { map, offset }),
                None => Err(self.error(symbol, format!("it leads beyond {size} bytes of data"))),
            };
        }
        if self.places.sections.contains(&index) {
            let inside = match symbol.kind {
                SymbolKind::Section => symbol.value.checked_add_signed(i64::from(insn.imm)),
                _ => Some(symbol.value),
            };
            let map = inside.and_then(|at| self.places.declared.get(&(index, at)));
            return map
                .map(|map| Target::Map(*map))
                .ok_or_else(|| self.error(symbol, "no map is defined there".into()));
        }
        let section = self.elf.section(index)?;
        if section.kind == SectionKind::Code {
            return self
                .function_at(symbol, i64::from(insn.imm))
                .map(Target::FunctionAddress)
                .ok_or_else(|| self.error(symbol, "no function starts there".into()));
        }
        let problem = format!("section '{}' holds neither maps nor data", shorten(section.name));
        Err(self.error(symbol, problem))
    }
}

/// Calls of functions in the same section need no relocation: the distance is already right.
fn calls_within_sections(table: &Table, module: &mut Module) -> Result<(), ParseError> {
    for (id, place) in table.iter() {
        let function = &mut module.functions[id.0 as usize];
        for inst in &mut function.code {
            let insn = inst.insn;
            if !insn.is_call() || insn.src() != PSEUDO_CALL || inst.target != Target::None {
                continue;
            }
            let distance = 8 * (i64::from(inst.id.0) + 1 + i64::from(insn.imm));
            let callee = place
                .offset
                .checked_add_signed(distance)
                .and_then(|at| table.starting_at(place.section, at));
            let Some(callee) = callee else {
                return Err(ParseError::Instruction {
                    function: shorten(&function.name),
                    slot: inst.id.0,
                    problem: "calls a place where no function starts".into(),
                });
            };
            inst.target = Target::Call(callee);
        }
    }
    Ok(())
}
