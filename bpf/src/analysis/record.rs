//! From what the interpretation noted to [`Places`].

use std::collections::{BTreeSet, HashMap};

use super::closure;
use super::interp::{Interp, MOST_SITES};
use super::keeps;
use super::marks::{FunctionMarks, Mark};
use super::places::{Arg, At, CallSite, Callee, ContextUse, Kinds, Places, TooLarge};
use super::value::{LAST_MAP, Rest, Value, bits, kind};
use crate::module::{FunctionId, Inst, MapId, Module, ProgramId, Target};
use crate::opcode::{access_bytes, class, mode};
use crate::requirements::ContextField;

/// Fields of `struct xdp_md`, four bytes each.
const FIELDS: [ContextField; 6] = [
    ContextField::Data,
    ContextField::DataEnd,
    ContextField::DataMeta,
    ContextField::IngressIfindex,
    ContextField::RxQueueIndex,
    ContextField::EgressIfindex,
];

pub(super) fn places(module: &Module, program: ProgramId) -> Result<Places, TooLarge> {
    let Some(entry) = module.programs.get(program.0 as usize) else {
        return Ok(Places::default());
    };
    let closures = closure::entries(module, entry.function);
    let mut interp = Interp::new(module);
    interp.sites = Some(HashMap::new());
    let mut places = Places::default();
    let mut seen = BTreeSet::new();
    for closure in &closures {
        let Some(&main) = closure.functions.first() else { continue };
        interp.program(main).map_err(|_| TooLarge)?;
        places.entries.push(main);
        places.functions.extend(closure.functions.iter().copied().filter(|f| seen.insert(*f)));
    }
    let sites = interp.sites.take().unwrap_or_default();
    for &id in &places.functions.clone() {
        Recorder { module, id, marks: &interp.marks[id.0 as usize], sites: &sites }
            .function(&mut places);
        if places.context.len() > MOST_SITES {
            return Err(TooLarge);
        }
    }
    for closure in &closures {
        let depth = closure::depth(module, closure, &interp.marks);
        places.call_depth = places.call_depth.max(depth.calls);
        places.stack_bytes = places.stack_bytes.max(depth.stack.unwrap_or(u64::MAX));
    }
    let reached = |m: &FunctionMarks| m.insts.iter().map(|i| i.contains(Mark::REACHED)).collect();
    places.reached = interp.marks.iter().map(reached).collect();
    Ok(places)
}

/// Writes down one function.
struct Recorder<'a> {
    module: &'a Module,
    id: FunctionId,
    marks: &'a FunctionMarks,
    sites: &'a HashMap<(u32, u32), [Value; 5]>,
}

impl Recorder<'_> {
    fn function(&self, places: &mut Places) {
        let function = self.module.function(self.id);
        let held = |(i, _): (usize, &Inst)| self.mark(i).holding() != 0;
        // Only where it matters: the question is a walk over the whole function.
        let kept = function.code.iter().enumerate().any(held).then(|| keeps::used(function));
        for (position, inst) in function.code.iter().enumerate() {
            let mark = self.mark(position);
            if !mark.contains(Mark::REACHED) {
                continue;
            }
            let at = At { function: self.id, inst: inst.id };
            if let Some(found) = self.context(position, inst) {
                places.context.insert(at, found);
            }
            if mark.contains(Mark::PACKET_WRITE) {
                places.packet_writes.insert(at);
            }
            if let Some(args) = self.sites.get(&(self.id.0, position as u32)) {
                let callee = match inst.target {
                    Target::Extern(id) => Callee::Kfunc(id),
                    _ => Callee::Helper(inst.insn.imm as u32),
                };
                let args = args.map(|value| self.arg(value));
                let used = kept.as_ref().map_or(0, |kept| kept[position]);
                let keeps_packet_pointer = used & mark.holding() != 0;
                places.calls.insert(at, CallSite { callee, args, keeps_packet_pointer });
            }
        }
    }

    fn mark(&self, position: usize) -> Mark {
        self.marks.insts.get(position).copied().unwrap_or_default()
    }

    fn context(&self, position: usize, inst: &Inst) -> Option<ContextUse> {
        if self.mark(position).contains(Mark::CONTEXT_MOVED) {
            return Some(ContextUse::Arithmetic);
        }
        let base = self.marks.bases.get(position).copied().unwrap_or_default();
        if base & kind::CTX == 0 {
            return None;
        }
        if base != kind::CTX {
            return Some(ContextUse::Ambiguous);
        }
        if inst.insn.class() != class::LDX {
            return Some(ContextUse::Store);
        }
        let code = inst.insn.code;
        let plain = matches!(code & 0xe0, mode::MEM | mode::MEMSX) && access_bytes(code) == 4;
        let offset = usize::try_from(inst.insn.off).unwrap_or(usize::MAX);
        let field = FIELDS.get(offset / 4).filter(|_| plain && offset % 4 == 0);
        Some(field.map_or(ContextUse::Misshapen, |&field| ContextUse::Field(field)))
    }

    fn arg(&self, value: Value) -> Arg {
        let (set, known) = (value.map_bits(), self.module.maps.len() as u32);
        let mut maps: Vec<MapId> = match value {
            Value::Map(map) if map < known => vec![MapId(map)],
            Value::Map(_) => Vec::new(),
            _ => bits(set).map(|map| MapId(map as u32)).filter(|m| m.0 < known).collect(),
        };
        let last = 1 << LAST_MAP;
        let unknown_map = match value {
            Value::Map(map) => map >= known,
            _ => set & last != 0,
        };
        if set & last != 0 && !matches!(value, Value::Map(_)) {
            maps.extend((LAST_MAP + 1..known).map(MapId));
        }
        Arg {
            kinds: Kinds::from_bits_truncate(value.kinds()),
            maps,
            unknown_map,
            constants: constants(value),
        }
    }
}

fn constants(value: Value) -> Option<Vec<u64>> {
    match value {
        Value::Const(c) => Some(vec![c]),
        Value::Scalar { small, rest } if rest != Rest::Any => Some(bits(small).collect()),
        _ => None,
    }
}
