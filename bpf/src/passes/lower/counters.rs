//! Counters: a word of a map's value that is loaded, added to and stored becomes an atomic addition,
//! and a per-CPU map of which nothing else is done with its words becomes one that all CPUs share.
//!
//! The load becomes 0, the arithmetic stays, and what is stored, now the difference, is added
//! atomically. That is the same for every frame by itself; of frames that are handled at the same
//! time none is lost, which a plain store does not promise.

use std::collections::{BTreeMap, BTreeSet};

use super::asm;
use super::edit::{Code, Edits};
use super::live::{self, Live, Registers, bit, reads_src};
use super::maps;
use super::report::{Problem, Report, Rewrite, site};
use super::scope::Scope;
use super::target::{Atomics, Target};
use crate::analysis::flow::Graph;
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, Map, MapId, Module, Target as Reference};
use crate::names;
use crate::opcode::{X, access_bytes, alu, atomic, class, jmp, mode, pseudo};

const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const DELETE: i32 = 3;
/// `BPF_NOEXIST`.
const NO_EXIST: u64 = 1;

/// A load, the additions after it and the store of the sum.
#[derive(Clone, Copy, Debug)]
struct Counter {
    load: usize,
    store: usize,
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
    let mut found: BTreeMap<FunctionId, Vec<Counter>> = BTreeMap::new();
    for &id in &scope.functions {
        let counters = Finder::new(module, id, trace).all();
        let mut judge = Judge { module, id, trace, target, per_cpu: &per_cpu, report };
        let used = judge.function(&counters);
        found.insert(id, used);
    }
    let spoilt: BTreeSet<String> =
        report.problems[before..].iter().filter_map(|problem| problem.map.clone()).collect();
    for (id, counters) in found {
        rewrite(module, id, &counters, report);
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

fn rewrite(module: &mut Module, id: FunctionId, counters: &[Counter], report: &mut Report) {
    let function = module.function(id);
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    for counter in counters {
        let (load, store) = (&function.code[counter.load], &function.code[counter.store]);
        let register = load.insn.dst();
        // Usually what is added comes next and can be moved instead of being added to nothing.
        let add = &function.code[counter.load + 1];
        let moves = matches!(add.insn.class(), class::ALU64)
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
        let insn = store.insn;
        let mut code = Code::new(&mut next_id, *store);
        code.put(asm::atomic_add(insn.code & 0x18, insn.dst(), insn.off, insn.src()));
        edits.replace(counter.store, code);
        let bytes = access_bytes(insn.code);
        let message =
            format!("load, addition and store of {bytes} bytes became an atomic addition");
        report.code_changed(Rewrite::Counter, site(module, function, store), message);
    }
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
}

/// Looks for counters in one function.
struct Finder<'a> {
    module: &'a Module,
    id: FunctionId,
    code: &'a [Inst],
    trace: &'a Trace,
    live: Live,
}

impl<'a> Finder<'a> {
    fn new(module: &'a Module, id: FunctionId, trace: &'a Trace) -> Self {
        let code = &module.function(id).code;
        Self { module, id, code, trace, live: Live::of(module, id) }
    }

    fn all(&self) -> Vec<Counter> {
        let mut counters = Vec::new();
        for block in &Graph::of(self.module.function(self.id)).blocks {
            for at in block.start as usize..block.end as usize {
                counters.extend(self.counter(at, block.end as usize));
            }
        }
        // What is loaded twice and stored once is added to itself.
        let stores = counters.iter().fold(BTreeMap::new(), |mut stores, counter: &Counter| {
            *stores.entry(counter.store).or_insert(0) += 1;
            stores
        });
        counters.retain(|counter| stores[&counter.store] == 1);
        counters
    }

    /// The counter whose load this is.
    fn counter(&self, load: usize, end: usize) -> Option<Counter> {
        let first = self.code[load].insn;
        let bytes = access_bytes(first.code);
        if first.class() != class::LDX || first.code & 0xe0 != mode::MEM || bytes < 4 {
            return None;
        }
        let Some(Base::MapValue(map, offset)) = self.trace.base(self.id, load) else {
            return None;
        };
        // The register that leads to the word, while it does, and those that hold the word plus
        // something.
        let mut base = Some(first.src());
        let mut sums: Registers = bit(first.dst());
        if first.dst() == first.src() {
            base = None;
        }
        for at in load + 1..end {
            let insn = self.code[at].insn;
            let stores = matches!(insn.class(), class::ST | class::STX);
            if stores {
                let here = self.same(at, insn, base, first, map, offset);
                let sum = insn.class() == class::STX && bit(insn.src()) & sums != 0;
                if sum {
                    let plain = insn.code & 0xe0 == mode::MEM && access_bytes(insn.code) == bytes;
                    let ends = here == Place::Same && plain && self.live.after(at) & sums == 0;
                    return ends.then_some(Counter { load, store: at });
                }
                if here != Place::Other || bit(insn.dst()) & sums != 0 {
                    return None;
                }
                continue;
            }
            sums = follow(insn, bytes, sums)?;
            if base.is_some_and(|base| writes(insn) & bit(base) != 0) {
                base = None;
            }
        }
        None
    }

    /// Where a store goes, seen from the word that was loaded.
    fn same(
        &self,
        at: usize,
        insn: Insn,
        base: Option<u8>,
        first: Insn,
        map: MapId,
        offset: Option<u32>,
    ) -> Place {
        let apart = |a: i64, b: i64| {
            let (first, other) = (access_bytes(first.code), access_bytes(insn.code));
            a + i64::from(first) <= b || b + i64::from(other) <= a
        };
        let compare = |a: i64, b: i64| match (a == b, apart(a, b)) {
            (true, _) => Place::Same,
            (_, true) => Place::Other,
            _ => Place::Unknown,
        };
        if base == Some(insn.dst()) {
            return compare(i64::from(first.off), i64::from(insn.off));
        }
        match self.trace.base(self.id, at) {
            Some(Base::Stack(_) | Base::Other) => Place::Other,
            Some(Base::MapValue(other, _)) if other != map => Place::Other,
            // Of a map with one value, offsets tell words apart.
            Some(Base::MapValue(_, Some(there))) if self.single(map) => match offset {
                Some(offset) => compare(
                    i64::from(offset) + i64::from(first.off),
                    i64::from(there) + i64::from(insn.off),
                ),
                None => Place::Unknown,
            },
            _ => Place::Unknown,
        }
    }

    fn single(&self, map: MapId) -> bool {
        let map = self.module.map(map);
        map.max_entries == 1 && matches!(map.kind, maps::ARRAY | maps::PERCPU_ARRAY)
    }
}

/// Where a store goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Same,
    Other,
    Unknown,
}

/// Registers that an instruction other than a store changes.
fn writes(insn: Insn) -> Registers {
    match insn.class() {
        class::ALU | class::ALU64 | class::LDX | class::LD => bit(insn.dst()),
        _ => 0,
    }
}

/// The registers that hold the word plus something after an instruction; `None` when it makes
/// something else of the word, or shows it.
fn follow(insn: Insn, bytes: u8, sums: Registers) -> Option<Registers> {
    let (dst, src) = (bit(insn.dst()), if reads_src(insn) { bit(insn.src()) } else { 0 });
    let (is, takes) = (dst & sums != 0, src & sums != 0);
    // The lower half of a sum depends on lower halves alone.
    let keeps = insn.class() == class::ALU64 || insn.class() == class::ALU && bytes == 4;
    match insn.class() {
        class::JMP if insn.code & 0xf0 == jmp::JA => Some(sums),
        class::JMP | class::JMP32 => None,
        class::ALU | class::ALU64 => match (insn.code & 0xf0, is, takes) {
            (alu::MOV, _, false) => Some(sums & !dst),
            (_, false, false) => Some(sums),
            (alu::MOV, _, true) if keeps && insn.off == 0 => Some(sums | dst),
            (alu::ADD | alu::SUB, true, false) if keeps => Some(sums),
            (alu::ADD, false, true) if keeps => Some(sums | dst),
            _ => None,
        },
        class::LDX if takes => None,
        class::LDX => Some(sums & !dst),
        class::LD if insn.is_wide() => Some(sums & !dst),
        _ => None,
    }
}

/// Says of everything else that is done with maps whether it can stay.
struct Judge<'a> {
    module: &'a Module,
    id: FunctionId,
    trace: &'a Trace,
    target: &'a Target,
    per_cpu: &'a BTreeSet<MapId>,
    report: &'a mut Report,
}

impl Judge<'_> {
    /// The counters that have to be rewritten.
    fn function(&mut self, counters: &[Counter]) -> Vec<Counter> {
        let counted: BTreeSet<usize> = counters.iter().flat_map(|c| [c.load, c.store]).collect();
        let mut used = Vec::new();
        for at in 0..self.module.function(self.id).code.len() {
            let inst = self.module.function(self.id).code[at];
            if inst.insn.is_call() {
                self.call(at, &inst);
            }
            let Some(base) = self.trace.base(self.id, at) else { continue };
            let per_cpu = match base {
                Base::MapValue(map, _) => self.per_cpu.contains(&map),
                Base::MapValues | Base::Mixed => !self.per_cpu.is_empty(),
                Base::Stack(_) | Base::Other => continue,
            };
            let stores = matches!(inst.insn.class(), class::ST | class::STX)
                && inst.insn.code & 0xe0 == mode::MEM;
            let wanted = per_cpu || stores && !self.target.map_stores;
            if !wanted {
                continue;
            }
            if counted.contains(&at) {
                if let Some(counter) = counters.iter().find(|c| c.store == at) {
                    self.countable(at, &inst);
                    used.push(*counter);
                }
            } else {
                self.other(at, &inst, base, per_cpu);
            }
        }
        used
    }

    /// Whether the card can add atomically there.
    fn countable(&mut self, at: usize, inst: &Inst) {
        let bytes = u32::from(access_bytes(inst.insn.code));
        let offset = match self.trace.base(self.id, at) {
            Some(Base::MapValue(_, Some(offset))) => {
                offset.checked_add_signed(inst.insn.off.into())
            }
            _ => None,
        };
        let problem = if self.target.atomics == Atomics::None {
            "the card has no atomic additions"
        } else if offset.is_some_and(|offset| offset % bytes != 0) {
            "it is not aligned"
        } else {
            return;
        };
        let message =
            format!("a counter of {bytes} bytes cannot be added to atomically: {problem}");
        self.problem("counter-not-atomic", message, inst, self.map_at(at));
    }

    /// A load, store or atomic that belongs to no counter.
    fn other(&mut self, at: usize, inst: &Inst, base: Base, per_cpu: bool) {
        let insn = inst.insn;
        let map = self.map_at(at);
        let name = map.map_or("a map", |map| self.module.map(map).name.as_str()).to_owned();
        match insn.class() {
            class::STX if insn.code & 0xe0 == mode::ATOMIC => {
                // The isa rewrite drops a fetch that nobody uses.
                if !matches!(insn.imm, 0 | atomic::FETCH) {
                    let message = format!(
                        "{name} is per-CPU, which the card has not, and an atomic operation other \
                         than addition is done on it"
                    );
                    self.problem("per-cpu-value", message, inst, map);
                }
            }
            class::ST | class::STX if !per_cpu || !self.target.map_stores => {
                let message = match base {
                    Base::Mixed => "a store that may go to a map's value, which the card refuses, \
                                    and may go elsewhere"
                        .to_owned(),
                    _ => format!(
                        "a store to the value of {name}, which the card refuses; only a counter \
                         (load, add, store of 4 or 8 bytes) can be rewritten"
                    ),
                };
                self.problem("map-store", message, inst, map);
            }
            _ => {
                let message = format!(
                    "{name} is per-CPU, which the card has not, and its value is used here for more \
                     than counting, so one value for all CPUs would not do the same"
                );
                self.problem("per-cpu-value", message, inst, map);
            }
        }
    }

    fn call(&mut self, at: usize, inst: &Inst) {
        let Some(arguments) = self.trace.arguments(self.id, at) else { return };
        let map = arguments[0].map().or_else(|| {
            // One of several: whichever is per-CPU.
            arguments[0].is_map().then(|| self.per_cpu.first().copied()).flatten()
        });
        let helper = match inst.insn.src() {
            pseudo::HELPER_CALL => inst.insn.imm,
            _ => 0,
        };
        // What points into a per-CPU value is read or written by the helper.
        // Registers that the helper does not take hold what was left in them.
        let taken = live::arguments(inst);
        let given = arguments.iter().zip(1..).filter(|(_, register)| taken & bit(*register) != 0);
        let value = given.into_iter().find_map(|(argument, _)| match argument.base() {
            Base::MapValue(map, _) if self.per_cpu.contains(&map) => Some(map),
            _ => None,
        });
        let per_cpu = map.filter(|map| self.per_cpu.contains(map));
        let (Some(map), message) = (match (per_cpu, value) {
            (_, Some(map)) => (Some(map), "a helper is handed a pointer into its value"),
            (Some(map), _) => match helper {
                LOOKUP | DELETE => return,
                // A key that is there already keeps its values on the other CPUs.
                UPDATE if arguments[3].constant() == Some(NO_EXIST) => return,
                UPDATE => (
                    Some(map),
                    "its value on this CPU is set by bpf_map_update_elem, other than to make a new \
                     key (BPF_NOEXIST)",
                ),
                _ => (Some(map), "it is used by a helper that sees single CPUs"),
            },
            _ => return,
        }) else {
            return;
        };
        let name = &self.module.map(map).name;
        let message = format!("{name} is per-CPU, which the card has not, and {message}");
        self.problem("per-cpu-value", message, inst, Some(map));
    }

    fn map_at(&self, at: usize) -> Option<MapId> {
        match self.trace.base(self.id, at) {
            Some(Base::MapValue(map, _)) => Some(map),
            _ => None,
        }
    }

    fn problem(&mut self, code: &'static str, message: String, inst: &Inst, map: Option<MapId>) {
        let remedy = match code {
            "map-store" => {
                "build the value on the stack and write it with bpf_map_update_elem, or count with \
                 __sync_fetch_and_add"
            }
            _ => "use a plain map and count in it with __sync_fetch_and_add",
        };
        let function = self.module.function(self.id);
        let problem = Problem::new(code, message, remedy).at(site(self.module, function, inst));
        let map: Option<&Map> = map.map(|map| self.module.map(map));
        let problem = map.map_or_else(|| problem.clone(), |map| problem.clone().of(map));
        self.report.problems.push(problem);
    }
}
