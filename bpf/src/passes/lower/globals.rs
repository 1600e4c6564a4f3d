//! Global variables: where a card loads no addresses in the value of a map, a lookup in the same map,
//! an array of one entry, gives the same address.

use std::collections::BTreeSet;

use super::asm;
use super::constants::is_constant;
use super::edit::{Code, Edits};
use super::frame::Frame;
use super::live::{Live, Registers};
use super::maps;
use super::report::{Problem, Report, Rewrite, site};
use super::scope::Scope;
use super::target::Target;
use crate::analysis::Trace;
use crate::insn::Insn;
use crate::module::{ExternKind, FunctionId, Inst, MapId, Module, Target as Reference};
use crate::opcode::{class, jmp, mode, size};

const LOOKUP: i32 = 1;
/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;

pub(super) fn run(
    module: &mut Module,
    scope: &Scope,
    trace: &Trace,
    target: &Target,
    report: &mut Report,
) {
    let mut used = BTreeSet::new();
    for &id in &scope.functions {
        function(module, id, trace, target, &mut used, report);
    }
    for id in used {
        let map = &mut module.maps[id.0 as usize];
        map.section = None;
        maps::flags(map, target, report);
    }
}

fn function(
    module: &mut Module,
    id: FunctionId,
    trace: &Trace,
    target: &Target,
    used: &mut BTreeSet<MapId>,
    report: &mut Report,
) {
    let function = module.function(id);
    let refers = |inst: &Inst| global(module, inst).is_some();
    if !function.code.iter().any(refers) {
        return;
    }
    let (live, frame) = (Live::of(module, id), Frame::of(trace, id));
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    for (at, inst) in function.code.iter().enumerate() {
        let Some((map, offset)) = global(module, inst) else { continue };
        let place = site(module, function, inst);
        let declared = module.map(map);
        if is_constant(declared) && !target.value_pointers {
            let message = format!(
                "the address of {}+{offset} is used, which the card cannot load, and not only to \
                 load constants at known offsets or a few by an index",
                declared.name
            );
            let remedy = "keep tables small, and hand none to helpers";
            let problem = Problem::new("global-data", message, remedy).at(place).of(declared);
            report.problems.push(problem);
            continue;
        }
        let mut code = Code::new(&mut next_id, *inst);
        let kept = live.across(at, inst) & SCRATCH;
        let dst = inst.insn.dst();
        look_up(&mut code, frame, map, kept);
        code.put(asm::mov(dst, 0));
        if offset != 0 {
            code.put(asm::add_imm(dst, offset as i32));
        }
        for insn in frame.restored(kept) {
            code.put(insn);
        }
        edits.replace(at, code);
        used.insert(map);
        let message = format!("the address of {}+{offset} comes from a lookup", declared.name);
        report.code_changed(Rewrite::Global, place, message);
    }
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
}

/// Looks up entry 0 of an array: its address is in r0 afterwards. An array has all its entries, so
/// the way on which there is none is there for the verifier alone.
fn look_up(code: &mut Code<'_>, frame: Frame, map: MapId, kept: Registers) {
    let key = frame.slot(frame.save(code, kept));
    // By a register: a card may lack stores of constants.
    code.put(asm::mov_imm(2, 0));
    code.put(Insn::new(class::STX | mode::MEM | size::W, 10, 2, key, 0));
    code.puts([asm::mov(2, 10), asm::add_imm(2, i32::from(key))]);
    code.refer(asm::load_map(1), Reference::Map(map));
    code.put(asm::helper(LOOKUP));
    let found = code.label();
    code.refer(asm::jump_imm(jmp::JNE, 0, 0), Reference::Jump(found));
    code.puts([asm::mov_imm(0, 0), asm::exit()]);
    // Jumps need an instruction to lead to.
    code.place(found, asm::mov(0, 0), Reference::None);
}

/// The map and offset whose address an instruction loads.
fn global(module: &Module, inst: &Inst) -> Option<(MapId, u32)> {
    match inst.target {
        Reference::MapValue { map, offset } => Some((map, offset)),
        Reference::Extern(id) => match module.externs.get(id.0 as usize)?.kind {
            ExternKind::Kconfig { offset, .. } => {
                let kconfig = Some(crate::module::DataSection::Kconfig);
                let map = module.maps.iter().position(|map| map.section == kconfig)?;
                Some((MapId(map as u32), offset))
            }
            _ => None,
        },
        _ => None,
    }
}
