//! The part of a module that lowering is about: what is loaded with one program.

use std::collections::BTreeSet;

use crate::analysis::{self, TAIL_CALL, Trace};
use crate::module::{FunctionId, MapId, Module, ProgramId, Target};

/// Calls within each other (`MAX_CALL_FRAMES`).
const MAX_CALL_DEPTH: usize = 8;

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

    /// Bytes of stack of the callers of a function that makes tail calls, at the most; `None` where
    /// only programs make them.
    pub(super) fn stack_before_tail_calls(&self, module: &Module, trace: &Trace) -> Option<u64> {
        let mains =
            self.functions.iter().filter(|id| module.programs.iter().any(|p| p.function == **id));
        mains.filter_map(|&main| below(module, trace, main, 0, 0)).max()
    }
}

/// The most bytes before a tail call in what a function calls.
fn below(module: &Module, trace: &Trace, id: FunctionId, used: u64, depth: usize) -> Option<u64> {
    let code = &module.function(id).code;
    let own = (depth > 0 && code.iter().any(|inst| inst.insn == TAIL_CALL)).then_some(used);
    // Functions call each other no deeper: the verifier refuses what does.
    if depth >= MAX_CALL_DEPTH {
        return own;
    }
    let used = used + u64::from(trace.stack(id)).next_multiple_of(16);
    let callees: BTreeSet<FunctionId> = code
        .iter()
        .filter_map(|inst| match inst.target {
            Target::Call(callee) => Some(callee),
            _ => None,
        })
        .collect();
    let deeper =
        callees.into_iter().filter_map(|id| below(module, trace, id, used, depth + 1)).max();
    own.max(deeper)
}
