//! From what was noted of each instruction to what the program needs.

use std::collections::BTreeMap;

use super::closure::{self, Closure};
use super::collect::{Collector, Place};
use super::flow::Graph;
use super::marks::{FunctionMarks, Mark};
use super::{isa, maps, memory};
use crate::module::{
    ExternId, ExternKind, FunctionId, Inst, MapId, Module, Program, ProgramHint, Resolution, Target,
};
use crate::names;
use crate::opcode::{class, jmp, mode, pseudo};
use crate::requirements::Strength::{self, May, Must};
use crate::requirements::{ContextField, Feature, LimitKind, Need, Requirements};

/// Helpers that stand for an ability with a name.
const FEATURES: [(i32, Feature); 4] = [
    (12, Feature::TailCall),
    (44, Feature::AdjustHead),
    (54, Feature::Metadata),
    (65, Feature::AdjustTail),
];

/// Helpers on locks, timers and owned pointers, which the verifier finds by the map's BTF.
const TYPED_MAP_HELPERS: [i32; 6] = [93, 94, 169, 170, 171, 194];

/// Context fields in the order of their notes.
const FIELDS: [(Mark, ContextField); 6] = [
    (Mark::DATA, ContextField::Data),
    (Mark::DATA_END, ContextField::DataEnd),
    (Mark::DATA_META, ContextField::DataMeta),
    (Mark::INGRESS_IFINDEX, ContextField::IngressIfindex),
    (Mark::RX_QUEUE_INDEX, ContextField::RxQueueIndex),
    (Mark::EGRESS_IFINDEX, ContextField::EgressIfindex),
];

struct Claims<'m> {
    module: &'m Module,
    marks: Vec<FunctionMarks>,
    /// Whether every path was followed; else every instruction counts as possibly reached.
    followed: bool,
    out: Collector<'m>,
    used: BTreeMap<MapId, Place<'m>>,
    isa: u8,
}

/// Turns notes into requirements.
pub(super) fn all(
    module: &Module,
    program: &Program,
    closures: &[Closure],
    marks: Vec<FunctionMarks>,
    followed: bool,
) -> Requirements {
    let out = Collector::new(module);
    let mut claims = Claims { module, marks, followed, out, used: BTreeMap::new(), isa: 1 };
    claims.program(program);
    for closure in closures {
        claims.closure(closure);
    }
    claims.limits(closures);
    maps::claim(&mut claims.out, module, claims.used);
    claims.out.finish()
}

impl<'m> Claims<'m> {
    /// What the program says of itself.
    fn program(&mut self, program: &Program) {
        if program.frags {
            self.out.feature(Feature::Frags, Must, None);
        }
        match program.hint {
            ProgramHint::XdpDevmap => self.out.feature(Feature::DevmapProgram, Must, None),
            ProgramHint::XdpCpumap => self.out.feature(Feature::CpumapProgram, Must, None),
            _ => {}
        }
    }

    fn closure(&mut self, closure: &Closure) {
        let mut tail_call = None;
        for (index, &id) in closure.functions.iter().enumerate() {
            let found = self.function(id, index == 0);
            tail_call = tail_call.or(found);
        }
        if let Some(place) = tail_call.filter(|_| closure.functions.len() > 1) {
            self.out.feature(Feature::TailCallInSubprogram, self.reached(), Some(place));
            self.out.feature(Feature::ProgramBtf, self.reached(), Some(place));
        }
        let unresolved =
            self.module.core_relocations.iter().any(|r| closure.functions.contains(&r.function));
        if unresolved {
            self.out.feature(Feature::KernelBtf, Must, None);
        }
    }

    /// How sure it is that code marked as reached is reached.
    fn reached(&self) -> Strength {
        if self.followed { Must } else { May }
    }

    /// Claims what one function needs; its first tail call, if it has one.
    fn function(&mut self, id: FunctionId, main: bool) -> Option<Place<'m>> {
        let function = self.module.function(id);
        let marks = std::mem::take(&mut self.marks[id.0 as usize]);
        let (mut slot, mut tail_call) = (0, None);
        for (at, inst) in function.code.iter().enumerate() {
            let place = Place { function, inst, slot };
            slot += inst.slots() as u32;
            self.loaded(inst, place);
            let mark = match marks.insts.get(at) {
                Some(&mark) => mark,
                None if self.followed => Mark::empty(),
                None => Mark::REACHED,
            };
            let mark = if self.followed { mark } else { mark | Mark::REACHED };
            if mark.contains(Mark::REACHED) {
                self.executed(inst, place);
                self.noted(mark, place);
                if is_helper(inst) && inst.insn.imm == 12 {
                    tail_call = tail_call.or(Some(place));
                }
                let exits = inst.insn.code == class::JMP | jmp::EXIT;
                if !self.followed && main && exits {
                    self.noted(Mark::RETURNS_ANY, place);
                }
            }
        }
        self.loops(id, &marks);
        self.marks[id.0 as usize] = marks;
        tail_call
    }

    /// What the kernel sees of an instruction whether or not it is ever reached.
    fn loaded(&mut self, inst: &'m Inst, place: Place<'m>) {
        let version = isa::version(inst.insn);
        if version > 1 && version >= self.isa {
            self.isa = version;
            self.out.add(Need::Isa(version), Must, None, Some(place));
        }
        match inst.target {
            Target::Map(map) | Target::MapValue { map, .. } => {
                self.used.entry(map).or_insert(place);
            }
            Target::Call(_) => self.out.feature(Feature::BpfToBpfCall, Must, Some(place)),
            Target::FunctionAddress(_) => {
                self.out.feature(Feature::Callback, Must, Some(place));
                self.out.feature(Feature::ProgramBtf, Must, Some(place));
            }
            Target::Extern(id) => self.external(id, place),
            _ => {}
        }
    }

    fn external(&mut self, id: ExternId, place: Place<'m>) {
        let Some(symbol) = self.module.externs.get(id.0 as usize) else { return };
        match symbol.kind {
            ExternKind::Kfunc | ExternKind::KsymTyped => {
                if symbol.resolution != Resolution::Absent {
                    let strength = if symbol.weak { May } else { Must };
                    self.out.feature(Feature::KernelBtf, strength, Some(place));
                }
            }
            ExternKind::Kconfig { .. } => {
                if let Some(map) = memory::kconfig(self.module) {
                    self.used.entry(map).or_insert(place);
                }
            }
            ExternKind::Ksym => {}
        }
    }

    /// What running an instruction needs.
    fn executed(&mut self, inst: &'m Inst, place: Place<'m>) {
        let insn = inst.insn;
        let reached = self.reached();
        match insn.class() {
            class::JMP if is_helper(inst) => {
                let id = insn.imm;
                self.out.add(Need::Helper(id as u32), reached, None, Some(place));
                if let Some((_, feature)) = FEATURES.iter().find(|(helper, _)| *helper == id) {
                    self.out.feature(*feature, reached, Some(place));
                }
                if names::helper_is_gpl_only(id as u32) {
                    self.out.feature(Feature::GplOnlyHelper, reached, Some(place));
                }
                if TYPED_MAP_HELPERS.contains(&id) {
                    self.out.feature(Feature::ProgramBtf, reached, Some(place));
                }
            }
            class::JMP if insn.code & 0xf0 == jmp::CALL => {
                if let Target::Extern(id) = inst.target {
                    self.kfunc(id, place);
                }
            }
            class::STX if insn.code & 0xe0 == mode::ATOMIC => {
                let feature = if insn.imm == 0 { Feature::AtomicAdd } else { Feature::AtomicFull };
                self.out.feature(feature, reached, Some(place));
            }
            _ => {}
        }
    }

    fn kfunc(&mut self, id: ExternId, place: Place<'m>) {
        let Some(symbol) = self.module.externs.get(id.0 as usize) else { return };
        if symbol.resolution == Resolution::Absent {
            return;
        }
        let strength = if symbol.weak { May } else { self.reached() };
        self.out.add(Need::Kfunc(symbol.name.clone()), strength, None, Some(place));
        // "cannot call kernel function from non-GPL compatible program"
        self.out.feature(Feature::GplOnlyHelper, strength, Some(place));
        if symbol.name.starts_with("bpf_xdp_metadata_rx_") {
            self.out.feature(Feature::DeviceBound, strength, Some(place));
        }
    }

    fn noted(&mut self, mark: Mark, place: Place<'m>) {
        let reached = self.reached();
        for (bit, field) in FIELDS {
            if mark.contains(bit) {
                self.out.add(Need::ContextField(field), reached, None, Some(place));
            }
        }
        for (bit, feature, strength) in [
            (Mark::DATA_META, Feature::Metadata, reached),
            (Mark::EGRESS_IFINDEX, Feature::DevmapProgram, reached),
            (Mark::PACKET_WRITE, Feature::PacketWrite, reached),
            (Mark::MAP_VALUE_WRITE, Feature::MapValueWrite, reached),
            (Mark::RETURNS_TX, Feature::Tx, reached),
            (Mark::RETURNS_REDIRECT, Feature::Redirect, reached),
            (Mark::RETURNS_ANY, Feature::Tx, May),
            (Mark::RETURNS_ANY, Feature::Redirect, May),
        ] {
            if mark.contains(bit) {
                self.out.feature(feature, strength, Some(place));
            }
        }
    }

    fn loops(&mut self, id: FunctionId, marks: &FunctionMarks) {
        let function = self.module.function(id);
        let at =
            |block_end: u32| marks.insts.get(block_end as usize - 1).copied().unwrap_or_default();
        let graph = Graph::of(function);
        let jumps: Vec<u32> = graph.back_edges(|b| match self.followed {
            true => (at(b.end).contains(Mark::REACHED), at(b.end).contains(Mark::TAKEN)),
            false => (true, true),
        });
        // One walk over the code for all of them: slots are counted from the start.
        let (mut slot, mut jumps) = (0, jumps.into_iter().peekable());
        for (at, inst) in function.code.iter().enumerate() {
            if jumps.next_if_eq(&(at as u32 + 1)).is_some() {
                let place = Place { function, inst, slot };
                self.out.feature(Feature::Loop, self.reached(), Some(place));
            }
            slot += inst.slots() as u32;
        }
    }

    fn limits(&mut self, closures: &[Closure]) {
        let (mut slots, mut calls, mut stack) = (0, 1, 0);
        for closure in closures {
            slots = slots.max(closure.slots(self.module) as u64);
            let depth = closure::depth(self.module, closure, &self.marks);
            calls = calls.max(depth.calls);
            stack = stack.max(depth.stack.unwrap_or_default());
        }
        for (kind, value, least) in [
            (LimitKind::Instructions, slots, 1),
            (LimitKind::CallDepth, calls, 2),
            (LimitKind::StackBytes, if self.followed { stack } else { 0 }, 1),
        ] {
            if value >= least {
                self.out.add(Need::Limit(kind, value), Must, None, None);
            }
        }
    }
}

fn is_helper(inst: &Inst) -> bool {
    inst.insn.code == class::JMP | jmp::CALL
        && inst.insn.src() == pseudo::HELPER_CALL
        && inst.target == Target::None
}
