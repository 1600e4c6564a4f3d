//! Writes the changes that a survey found into the code.

use std::collections::BTreeMap;

use hoist_bpf::Insn;
use hoist_bpf::analysis::At;
use hoist_bpf::module::{Function, FunctionId, Inst, MapId, Module, Resolution, Target};
use hoist_bpf::opcode::jmp;
use hoist_bpf::passes::asm;
use hoist_bpf::requirements::ContextField;

use super::runtime::name;
use super::survey::{Edit, Survey};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// Offsets into `struct __sk_buff`.
mod skb {
    pub(super) const LEN: i16 = 0;
    pub(super) const QUEUE_MAPPING: i16 = 12;
    pub(super) const IFINDEX: i16 = 40;
    pub(super) const DATA: i16 = 76;
    pub(super) const DATA_END: i16 = 80;
    pub(super) const DATA_META: i16 = 140;
}

/// Carries a survey out. `routines` are the runtime's functions, linked in.
pub(super) fn apply(
    module: &mut Module,
    survey: &Survey,
    routines: &BTreeMap<&'static str, FunctionId>,
) {
    let rewriter = Rewriter { edits: &survey.edits, broadcasts: &survey.broadcasts, routines };
    let mut last = None;
    for function in survey.edits.keys().map(|at| at.function) {
        if last.replace(function) != Some(function) {
            rewriter.function(function, &mut module.functions[function.0 as usize]);
        }
    }
    for (&id, &twin) in &survey.twins {
        let external = &mut module.externs[id.0 as usize];
        twin.clone_into(&mut external.name);
        external.resolution = Resolution::Pending;
    }
    for map in &survey.cpumaps {
        module.maps[map.0 as usize].kind = ARRAY;
    }
    // Whole frames are linear at TC, whatever the program can cope with.
    for program in &mut module.programs {
        program.frags = false;
    }
}

struct Rewriter<'a> {
    edits: &'a BTreeMap<At, Edit>,
    broadcasts: &'a [MapId],
    routines: &'a BTreeMap<&'static str, FunctionId>,
}

impl Rewriter<'_> {
    /// Rewrites a function in one pass. What takes an instruction's place starts under its id, so
    /// that jumps to it still come to the whole of it.
    fn function(&self, id: FunctionId, function: &mut Function) {
        let old = std::mem::take(&mut function.code);
        let mut code = Vec::with_capacity(old.len() + self.edits.len());
        for (position, &inst) in old.iter().enumerate() {
            let next = old.get(position + 1);
            match self.edits.get(&At { function: id, inst: inst.id }) {
                None => code.push(inst),
                Some(edit) => self.edit(edit, inst, next, function, &mut code),
            }
        }
        function.code = code;
    }

    fn edit(
        &self,
        edit: &Edit,
        inst: Inst,
        next: Option<&Inst>,
        function: &mut Function,
        code: &mut Vec<Inst>,
    ) {
        let instead = |insn| Inst { insn, target: Target::None, ..inst };
        let call = |name: &str| match self.routines.get(name) {
            Some(&routine) => Inst { insn: asm::call(), target: Target::Call(routine), ..inst },
            None => inst,
        };
        match edit {
            Edit::Field(field) => {
                let insn = Insn { off: offset(*field), ..inst.insn };
                code.push(Inst { insn, ..inst });
                if let (ContextField::RxQueueIndex, Some(next)) = (field, next) {
                    // Socket buffers count queues from 1; 0 is no queue.
                    let dst = insn.dst();
                    let skip = Target::Jump(next.id);
                    code.push(made(function, inst, asm::jump_imm(jmp::JEQ, dst, 0), skip));
                    code.push(made(function, inst, asm::add_imm(dst, -1), Target::None));
                }
            }
            Edit::Routine(name) => code.push(call(name)),
            Edit::Result(value) => code.push(instead(asm::mov_imm(0, *value))),
            Edit::Length => code.push(instead(asm::load32(0, 1, skb::LEN))),
            Edit::RedirectMap { devmaps, cpumaps } => {
                let first = code.len();
                let to_cpu = call(name::REDIRECT_CPUMAP);
                let to_cpu =
                    Inst { id: made(function, inst, to_cpu.insn, to_cpu.target).id, ..to_cpu };
                for map in cpumaps {
                    code.push(made(function, inst, asm::load_map(5), Target::Map(*map)));
                    code.push(made(function, inst, asm::jump_equal(1, 5), Target::Jump(to_cpu.id)));
                }
                self.redirect_devmap(devmaps, inst, call(name::REDIRECT_DEVMAP), function, code);
                if let (false, Some(next)) = (cpumaps.is_empty(), next) {
                    code.push(made(function, inst, asm::goto(), Target::Jump(next.id)));
                    code.push(to_cpu);
                }
                code[first].id = inst.id;
            }
        }
    }

    /// Tells the routine in r4 which devmap it is given: the compiler merges calls that differ in
    /// the map alone. r4 and r5 are dead here, since the call would destroy them.
    fn redirect_devmap(
        &self,
        maps: &[MapId],
        inst: Inst,
        call: Inst,
        function: &mut Function,
        code: &mut Vec<Inst>,
    ) {
        let numbers: Vec<i32> = maps.iter().map(|m| self.number(*m)).collect();
        let call = Inst { id: made(function, inst, call.insn, call.target).id, ..call };
        let several = numbers.windows(2).any(|pair| pair[0] != pair[1]);
        let Some((last, others)) = numbers.split_last() else { return };
        for (number, map) in others.iter().zip(maps).filter(|_| several) {
            code.push(made(function, inst, asm::mov_imm(4, *number), Target::None));
            code.push(made(function, inst, asm::load_map(5), Target::Map(*map)));
            code.push(made(function, inst, asm::jump_equal(1, 5), Target::Jump(call.id)));
        }
        code.push(made(function, inst, asm::mov_imm(4, *last), Target::None));
        code.push(call);
    }

    /// A map's number among those that are broadcast to; one that none has for others.
    fn number(&self, map: MapId) -> i32 {
        let at = self.broadcasts.iter().position(|m| *m == map);
        at.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1)
    }
}

/// A new instruction that belongs to the source line of another.
fn made(function: &mut Function, beside: Inst, insn: Insn, target: Target) -> Inst {
    Inst { line: beside.line, ..function.new_inst(insn, target) }
}

const fn offset(field: ContextField) -> i16 {
    match field {
        ContextField::Data => skb::DATA,
        ContextField::DataEnd => skb::DATA_END,
        ContextField::DataMeta => skb::DATA_META,
        // Not `ingress_ifindex`, which is where the buffer came from before it came here.
        ContextField::IngressIfindex | ContextField::EgressIfindex => skb::IFINDEX,
        ContextField::RxQueueIndex => skb::QUEUE_MAPPING,
    }
}
