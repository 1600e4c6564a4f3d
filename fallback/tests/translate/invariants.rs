//! What holds of every translation, whatever the program.

use std::collections::BTreeMap;

use hoist_bpf::analysis::{self, At, Callee, ContextUse, Places};
use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::image::{Image, ImageError};
use hoist_bpf::module::{Function, FunctionId, Inst, Module, ProgramId, Target};
use hoist_bpf::opcode::{access_bytes, class};
use hoist_bpf::passes::asm;
use hoist_bpf::requirements::ContextField;
use hoist_fallback::tc::translate::Translated;

/// `bpf_tail_call`.
const TAIL_CALL: u32 = 12;

/// Helpers that socket-buffer programs may not call (`tc_cls_act_func_proto`).
const XDP_ONLY: [u32; 7] = [44, 51, 54, 65, 188, 189, 190];

/// Fails with a reason where a translation is not what it must be. Programs that read registers
/// which a call destroyed may come to read what the call leaves there now.
pub(crate) fn check(
    module: &Module,
    program: ProgramId,
    translated: &Translated,
) -> Result<(), String> {
    let before = analysis::places(module, program).map_err(|e| e.to_string())?;
    let new = &translated.module;
    if translated.program != program {
        return Err("the program has another id".to_owned());
    }
    if new.license != module.license || new.programs.len() < module.programs.len() {
        return Err("licence or programs are lost".to_owned());
    }
    maps(module, translated)?;
    images(module, program, new)?;
    let after = analysis::places(new, program).map_err(|e| format!("the translation: {e}"))?;
    calls(new, &after)?;
    for (at, found) in &before.context {
        field(new, *at, *found)?;
    }
    for &id in &before.functions {
        function(module, new, id, &before)?;
    }
    if before.calls.values().any(|call| call.callee == Callee::Helper(TAIL_CALL)) {
        verdict(new, new.program(program).function, module.program(program).function)?;
    }
    main(module, new, program)
}

fn maps(module: &Module, translated: &Translated) -> Result<(), String> {
    let new = &translated.module.maps;
    for (index, (old, new)) in module.maps.iter().zip(new).enumerate() {
        let substituted = old.kind == 16 && new.kind == 2;
        let like = hoist_bpf::module::Map { kind: old.kind, ..new.clone() };
        if like != *old || new.kind != old.kind && !substituted {
            return Err(format!("map {index} changed from {old:?} to {new:?}"));
        }
    }
    let ids = [Some(translated.events), translated.counters, translated.device];
    let in_range = |id: u32| (module.maps.len()..new.len()).contains(&(id as usize));
    if new.len() < module.maps.len() || !ids.iter().flatten().all(|id| in_range(id.0)) {
        return Err("the runtime's maps do not come after the module's".to_owned());
    }
    Ok(())
}

/// Everything that could be laid out still can.
fn images(module: &Module, program: ProgramId, new: &Module) -> Result<(), String> {
    if Image::build(module, program).is_err() {
        return Ok(());
    }
    match Image::build(new, program) {
        Ok(image) => {
            let btf = Btf::parse(&image.btf);
            if !image.btf.is_empty() && btf.is_err() {
                return Err(format!("damaged BTF: {btf:?}"));
            }
            for record in image.func_info.chunks(8) {
                let id = u32::from_ne_bytes([record[4], record[5], record[6], record[7]]);
                let found = btf.as_ref().ok().and_then(|b| b.type_by_id(id));
                if found.is_some_and(|t| t.kind() == Kind::Func && t.linkage() == Some(1)) {
                    return Err(format!("BTF type {id} is a global function"));
                }
            }
            Ok(())
        }
        // Code grows: what just fitted may no longer.
        Err(ImageError::JumpTooFar { .. } | ImageError::TooLong) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn calls(new: &Module, after: &Places) -> Result<(), String> {
    for (at, call) in &after.calls {
        match call.callee {
            Callee::Helper(id) if XDP_ONLY.contains(&id) => {
                return Err(format!("{at:?} still calls helper {id}"));
            }
            Callee::Kfunc(id) if new.external(id).name.starts_with("bpf_xdp_") => {
                return Err(format!("{at:?} still calls {}", new.external(id).name));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A load of the context reads the counterpart of its field.
fn field(new: &Module, at: At, found: ContextUse) -> Result<(), String> {
    let inst = inst(new, at).ok_or("a place without an instruction")?;
    let expected = match found {
        ContextUse::Field(ContextField::Data) => 76,
        ContextUse::Field(ContextField::DataEnd) => 80,
        ContextUse::Field(ContextField::DataMeta) => 140,
        ContextUse::Field(ContextField::IngressIfindex) => 40,
        ContextUse::Field(ContextField::RxQueueIndex) => 12,
        _ => return Err(format!("{at:?} is translated, and is {found:?}")),
    };
    let loads = inst.insn.class() == class::LDX && access_bytes(inst.insn.code) == 4;
    if !loads || inst.insn.off != expected {
        return Err(format!("{at:?} was {found:?} and is {}", inst.insn));
    }
    if found != ContextUse::Field(ContextField::RxQueueIndex) {
        return Ok(());
    }
    // Queues are counted from 1, and 0 is none.
    let code = &new.function(at.function).code;
    let position = new.function(at.function).position(at.inst).unwrap_or_default();
    let text: Vec<String> =
        code[position + 1..].iter().take(2).map(|i| i.insn.to_string()).collect();
    let register = inst.insn.dst();
    let (test, minus) = (format!("if r{register} == 0 "), format!("r{register} += -1"));
    match &text[..] {
        [a, b] if a.starts_with(&test) && *b == minus => Ok(()),
        // Code that ends so is refused by the verifier.
        [] => Ok(()),
        _ => Err(format!("{at:?} reads a queue, followed by {text:?}")),
    }
}

/// The instruction at a place.
pub(crate) fn inst(module: &Module, at: At) -> Option<&Inst> {
    let function = module.function(at.function);
    function.code.get(function.position(at.inst)?)
}

/// Nothing but the places that must change has changed, and what is added stands between.
fn function(module: &Module, new: &Module, id: FunctionId, before: &Places) -> Result<(), String> {
    let (old, new) = (module.function(id), new.function(id));
    let places: BTreeMap<_, usize> = new.code.iter().enumerate().map(|(i, c)| (c.id, i)).collect();
    if places.len() != new.code.len() {
        return Err(format!("{}: two instructions with one id", old.name));
    }
    let mut last = None;
    for (position, inst) in old.code.iter().enumerate() {
        let Some(&now) = places.get(&inst.id) else {
            return Err(format!("{}+{position} is gone", old.name));
        };
        if last.is_some_and(|last| now <= last) {
            return Err(format!("{}+{position} moved", old.name));
        }
        last = Some(now);
        let at = At { function: id, inst: inst.id };
        let may_change = before.context.contains_key(&at) || before.calls.contains_key(&at);
        if new.code[now] != *inst && !may_change {
            return Err(format!("{}+{position} changed to {:?}", old.name, new.code[now]));
        }
    }
    added(old, new)
}

/// What is added stays within its function and belongs to a line, where the function has lines.
fn added(old: &Function, new: &Function) -> Result<(), String> {
    let lined = old.code.iter().all(|inst| inst.line.is_some());
    for inst in &new.code {
        if lined && inst.line.is_none() {
            return Err(format!("{}: {} belongs to no line", new.name, inst.insn));
        }
        let stays = match inst.target {
            Target::Jump(to) => new.position(to).is_some(),
            _ => true,
        };
        let dangled = old.code.iter().any(|o| o.id == inst.id && o.target == inst.target);
        if !stays && !dangled {
            return Err(format!("{}: {} leads nowhere", new.name, inst.insn));
        }
    }
    Ok(())
}

/// The new main is another function and calls the old one.
fn main(module: &Module, new: &Module, program: ProgramId) -> Result<(), String> {
    let (old_main, new_main) = (module.program(program).function, new.program(program).function);
    let calls = |id| new.function(id).code.iter().any(|i| i.target == Target::Call(old_main));
    if new_main == old_main || !calls(new_main) {
        return Err("the new main does not call the old one".to_owned());
    }
    Ok(())
}

/// What a tail call's target returns is not what the verifier may think (`asm::forget`).
fn verdict(new: &Module, main: FunctionId, old_main: FunctionId) -> Result<(), String> {
    let code = &new.function(main).code;
    let calls = code.iter().enumerate().filter(|(_, i)| i.target == Target::Call(old_main));
    for (at, _) in calls {
        let next: Vec<_> = code[at + 1..].iter().take(2).map(|i| i.insn).collect();
        if next != asm::forget(0) {
            return Err("the verifier believes what stands behind a tail call".to_owned());
        }
    }
    Ok(())
}
