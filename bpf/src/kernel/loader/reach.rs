//! What a program can reach: the programs its prog arrays start with, and the maps of all of them.

use std::collections::BTreeSet;

use crate::kernel::loader::LoadError;
use crate::module::{DataSection, ExternKind, FunctionId, MapId, Module, ProgramId, Target};

/// The closure of one program over calls, callbacks, maps and initial slots.
#[derive(Debug)]
pub(super) struct Reach {
    /// The entry program first, then those that prog arrays hold.
    pub(super) programs: Vec<ProgramId>,
    /// In the module's order.
    pub(super) maps: BTreeSet<MapId>,
}

impl Reach {
    /// `also` names maps that are wanted although no instruction refers to them.
    pub(super) fn of(
        module: &Module,
        entry: ProgramId,
        also: impl Iterator<Item = MapId>,
    ) -> Result<Self, LoadError> {
        let mut reach = Self { programs: vec![entry], maps: BTreeSet::new() };
        for map in also {
            reach.map(module, map)?;
        }
        let mut next = 0;
        while let Some(&program) = reach.programs.get(next) {
            reach.program(module, program)?;
            next += 1;
        }
        Ok(reach)
    }

    fn program(&mut self, module: &Module, program: ProgramId) -> Result<(), LoadError> {
        let mut seen = BTreeSet::new();
        let mut functions = vec![module.program(program).function];
        while let Some(function) = functions.pop() {
            if !seen.insert(function) {
                continue;
            }
            for inst in &module.function(function).code {
                match inst.target {
                    Target::Call(f) | Target::FunctionAddress(f) => functions.push(f),
                    Target::Map(map) | Target::MapValue { map, .. } => self.map(module, map)?,
                    Target::Extern(id) => {
                        let kconfig =
                            matches!(module.external(id).kind, ExternKind::Kconfig { .. });
                        if let (true, Some(map)) = (kconfig, self::kconfig(module)) {
                            self.map(module, map)?;
                        }
                    }
                    Target::None | Target::Jump(_) => {}
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, module: &Module, id: MapId) -> Result<(), LoadError> {
        if !self.maps.insert(id) {
            return Ok(());
        }
        let map = module.map(id);
        for slot in &map.initial {
            match slot.value {
                Target::Map(inner) => self.map(module, inner)?,
                Target::FunctionAddress(function) => {
                    let program = program_of(module, function)
                        .ok_or_else(|| not_a_program(module, function, &map.name))?;
                    if !self.programs.contains(&program) {
                        self.programs.push(program);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The program that a function is the entry of.
pub(super) fn program_of(module: &Module, function: FunctionId) -> Option<ProgramId> {
    let at = module.programs.iter().position(|p| p.function == function)?;
    u32::try_from(at).ok().map(ProgramId)
}

/// The map that holds Kconfig values.
pub(super) fn kconfig(module: &Module) -> Option<MapId> {
    let at = module.maps.iter().position(|m| m.section == Some(DataSection::Kconfig))?;
    u32::try_from(at).ok().map(MapId)
}

pub(super) fn not_a_program(module: &Module, function: FunctionId, map: &str) -> LoadError {
    LoadError::Invalid {
        what: format!(
            "map {map} starts with {}, which is not a program",
            module.function(function).name
        ),
    }
}
