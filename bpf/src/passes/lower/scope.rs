//! The part of a module that lowering is about: what is loaded with one program.

use std::collections::BTreeSet;

use crate::analysis;
use crate::module::{FunctionId, MapId, Module, ProgramId, Target};

/// Functions and maps that are loaded with a program.
#[derive(Debug)]
pub(super) struct Scope {
    /// The program's entry first, then what it and the programs it can tail-call bring along.
    pub(super) functions: Vec<FunctionId>,
    pub(super) maps: BTreeSet<MapId>,
}

impl Scope {
    pub(super) fn of(module: &Module, program: ProgramId) -> Self {
        let functions = analysis::functions(module, program);
        let mut maps = BTreeSet::new();
        for id in &functions {
            for inst in &module.function(*id).code {
                if let Target::Map(map) | Target::MapValue { map, .. } = inst.target {
                    maps.insert(map);
                }
            }
        }
        maps.retain(|map| (map.0 as usize) < module.maps.len());
        let mut work: Vec<MapId> = maps.iter().copied().collect();
        while let Some(map) = work.pop() {
            for slot in &module.map(map).initial {
                if let Target::Map(inner) = slot.value
                    && (inner.0 as usize) < module.maps.len()
                    && maps.insert(inner)
                {
                    work.push(inner);
                }
            }
        }
        Self { functions, maps }
    }
}
