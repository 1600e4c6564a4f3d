//! Counters: a word of a map's value that is loaded, added to and stored becomes an atomic addition,
//! and a per-CPU map of which nothing else is done with its words becomes one that all CPUs share.
//!
//! The load becomes 0, the arithmetic stays, and what is stored, now the difference, is added
//! atomically. That is the same for every frame by itself; of frames that are handled at the same
//! time none is lost, which a plain store does not promise.

mod find;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use super::asm;
use super::edit::{Code, Edits};
use super::maps;
use super::report::{Report, Rewrite, site};
use super::scope::Scope;
use super::stores::{self, Group};
use super::target::Target;
use crate::analysis::Trace;
use crate::insn::Insn;
use crate::module::{FunctionId, MapId, Module, Target as Reference};
use crate::names;
use crate::opcode::{X, access_bytes, alu, class};
use find::Finder;
use judge::Judge;

/// A load, the additions after it and the stores of the sum: one on each way, at the most.
#[derive(Clone, Debug)]
struct Counter {
    load: usize,
    stores: Vec<usize>,
    /// Whether the next instruction is reached from the load alone.
    goes_on: bool,
}

/// Rewrites what has to be.
pub(super) fn run(
    module: &mut Module,
    scope: &Scope,
    trace: &Trace,
    target: &Target,
    report: &mut Report,
) {
    let per_cpu: BTreeSet<MapId> = scope
        .maps
        .iter()
        .copied()
        .filter(|id| !target.per_cpu_maps && shared(module.map(*id).kind).is_some())
        .filter(|id| !inner(module, *id))
        .collect();
    if target.map_stores && per_cpu.is_empty() {
        return;
    }
    let before = report.problems.len();
    let found: BTreeMap<FunctionId, Vec<Counter>> =
        scope.functions.iter().map(|&id| (id, Finder::new(module, id, trace).all())).collect();
    let mut stores = BTreeMap::new();
    if !target.map_stores {
        let counted = found.iter().map(|(&id, counters)| (id, positions(counters))).collect();
        let accepted = target.accept.contains(stores::RACE);
        stores = stores::find(module, &scope.functions, trace, &counted, accepted);
    }
    let mut used = BTreeMap::new();
    for (&id, counters) in &found {
        let stores = stores.entry(id).or_default();
        let mut judge = Judge { module, id, trace, target, per_cpu: &per_cpu, stores, report };
        used.insert(id, judge.function(counters));
    }
    let spoilt: BTreeSet<String> =
        report.problems[before..].iter().filter_map(|problem| problem.map.clone()).collect();
    for (id, counters) in used {
        rewrite(module, id, trace, &counters, &stores[&id].groups, report);
    }
    for id in per_cpu {
        let map = &mut module.maps[id.0 as usize];
        if spoilt.contains(&map.name) {
            continue;
        }
        let was = names::map_type(map.kind);
        map.kind = shared(map.kind).unwrap_or(map.kind);
        let message = format!(
            "map {}: {was} became {}; its words are only added to, so each holds the sum of what the \
             CPUs would have held",
            map.name,
            names::map_type(map.kind)
        );
        report.map_changed(Rewrite::SharedCounters, map, message);
    }
}

/// Where counters are loaded and stored.
fn positions(counters: &[Counter]) -> BTreeSet<usize> {
    counters
        .iter()
        .flat_map(|counter| counter.stores.iter().chain([&counter.load]))
        .copied()
        .collect()
}

/// Whether another map holds it, whose template says what it is.
fn inner(module: &Module, id: MapId) -> bool {
    let mut slots = module.maps.iter().flat_map(|map| &map.initial);
    slots.any(|slot| slot.value == Reference::Map(id))
}

/// The type that a per-CPU map becomes.
const fn shared(kind: u32) -> Option<u32> {
    match kind {
        maps::PERCPU_HASH => Some(maps::HASH),
        maps::PERCPU_ARRAY => Some(maps::ARRAY),
        maps::LRU_PERCPU_HASH => Some(maps::LRU_HASH),
        _ => None,
    }
}

fn rewrite(
    module: &mut Module,
    id: FunctionId,
    trace: &Trace,
    counters: &[Counter],
    groups: &[Group],
    report: &mut Report,
) {
    let function = module.function(id);
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    for counter in counters {
        let load = &function.code[counter.load];
        let register = load.insn.dst();
        // Usually what is added comes next and can be moved instead of being added to nothing.
        let add = &function.code[counter.load + 1];
        let moves = counter.goes_on
            && matches!(add.insn.class(), class::ALU64)
            && add.insn.code & 0xf0 == alu::ADD
            && add.insn.dst() == register;
        let mut zero = Code::new(&mut next_id, *load);
        if moves {
            edits.remove(counter.load);
            let mut code = Code::new(&mut next_id, *add);
            let operand = add.insn.code & X;
            code.put(Insn { code: class::ALU64 | operand | alu::MOV, ..add.insn });
            edits.replace(counter.load + 1, code);
        } else {
            zero.put(asm::mov_imm(register, 0));
            edits.replace(counter.load, zero);
        }
        for &at in &counter.stores {
            let store = &function.code[at];
            let insn = store.insn;
            let mut code = Code::new(&mut next_id, *store);
            code.put(asm::atomic_add(insn.code & 0x18, insn.dst(), insn.off, insn.src()));
            edits.replace(at, code);
            let bytes = access_bytes(insn.code);
            let message =
                format!("load, addition and store of {bytes} bytes became an atomic addition");
            report.code_changed(Rewrite::Counter, site(module, function, store), message);
        }
    }
    stores::write(module, id, trace, groups, &mut edits, &mut next_id, report);
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
}
