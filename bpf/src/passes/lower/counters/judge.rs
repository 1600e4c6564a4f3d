//! What is done with maps besides counting, and whether it can stay.

use std::collections::{BTreeMap, BTreeSet};

use super::super::live::{self, bit};
use super::super::report::{Problem, Report, site};
use super::super::stores::{self, Stores};
use super::super::target::{Atomics, Target};
use super::{Counter, positions};
use crate::analysis::{Base, Trace};
use crate::module::{FunctionId, Inst, Map, MapId, Module};
use crate::opcode::{access_bytes, atomic, class, mode, pseudo};

const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const DELETE: i32 = 3;
/// `BPF_NOEXIST`.
const NO_EXIST: u64 = 1;

/// Says of everything else that is done with maps whether it can stay.
pub(super) struct Judge<'a> {
    pub(super) module: &'a Module,
    pub(super) id: FunctionId,
    pub(super) trace: &'a Trace,
    pub(super) target: &'a Target,
    pub(super) per_cpu: &'a BTreeSet<MapId>,
    pub(super) stores: &'a Stores,
    pub(super) report: &'a mut Report,
}

impl Judge<'_> {
    /// The counters that have to be rewritten.
    pub(super) fn function(&mut self, counters: &[Counter]) -> Vec<Counter> {
        let counted = positions(counters);
        let mut used: BTreeMap<usize, Counter> = BTreeMap::new();
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
            if !per_cpu && self.stores.covers(at) {
                continue;
            }
            if counted.contains(&at) {
                if let Some(counter) = counters.iter().find(|c| c.stores.contains(&at)) {
                    self.countable(at, &inst);
                    used.insert(counter.load, counter.clone());
                }
            } else {
                self.other(at, &inst, base, per_cpu);
            }
        }
        used.into_values().collect()
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
                let refusal = self.stores.refused.get(&at);
                let (code, why) = match (base, refusal) {
                    (Base::Mixed, _) => ("map-store", "it may also go elsewhere"),
                    (_, Some(refusal)) => (refusal.code, refusal.why),
                    _ => ("map-store", "it is no counter (load, add, store of 4 or 8 bytes)"),
                };
                let message = format!(
                    "a store to the value of {name}, which the card refuses and which no update can \
                     stand in for: {why}"
                );
                self.problem(code, message, inst, map);
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
            stores::RACE => {
                "pass --accept map-store-race where no two frames store to different parts of an entry \
                 at the same time, or store to all of the value"
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
