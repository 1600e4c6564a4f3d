//! Puts the runtime around a surveyed program.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::module::{Function, FunctionId, Inst, Linkage, MapId, Module, ProgramId, Target};
use hoist_bpf::opcode::jmp;
use hoist_bpf::passes::link::{self, Linked};
use hoist_bpf::passes::{PassError, asm};
use hoist_offload::Gap;

use super::survey::{Edit, Survey};
use super::{Globals, Merged, Options, Translated, rewrite, runtime};
use super::{device, events};

/// Why the runtime could not be put around a program.
pub(super) fn refused(error: &PassError) -> Gap {
    Gap::new(error.code, &error.message)
}

/// Builds the translated module.
pub(super) fn assemble(
    module: &Module,
    program: ProgramId,
    options: &Options,
    survey: Survey,
) -> Result<Translated, Gap> {
    let library = runtime::library(options.tag_push, options.offsets)
        .map_err(|e| Gap::new("not-loadable", format!("the runtime cannot be read: {e}")))?;
    let mut features = survey.features;
    if options.count {
        features |= runtime::feature::COUNTS;
    }
    if options.merged == Merged::Drop {
        features |= runtime::feature::DROPS_MERGED;
    }
    let find = |name: &str| {
        library
            .function_named(name)
            .ok_or_else(|| Gap::new("not-loadable", format!("the runtime has no function {name}")))
    };
    let main = find(&runtime::main(features))?;
    let used: BTreeSet<&'static str> = survey.edits.values().flat_map(routines).collect();
    let mut wanted = vec![main];
    for name in &used {
        wanted.push(find(name)?);
    }

    let mut translated = module.clone();
    let linked = link::link(&mut translated, library, &wanted).map_err(|e| refused(&e))?;
    let there = |name: &str| find(name).map(|id| linked.functions.get(&id).copied());
    let mut routines = BTreeMap::new();
    for name in used {
        routines.extend(there(name)?.map(|id| (name, id)));
    }
    rewrite::apply(&mut translated, &survey, &routines);

    let old_main = module.program(program).function;
    let mut calls = vec![(runtime::name::PROGRAM, Some(old_main))];
    if let Some(placeholder) = there(runtime::name::BROADCAST)? {
        let send = there(runtime::name::BROADCAST_DEVMAP)?;
        let by_number = dispatcher(&translated, placeholder, send, &survey.broadcasts);
        calls.push((runtime::name::BROADCAST, Some(translated.add_function(by_number))));
    }
    for (name, to) in calls {
        if let (Some(from), Some(to)) = (there(name)?, to) {
            translated.redirect_calls(from, to);
        }
    }
    let globals = match options.globals {
        Globals::Inline => link::Globals::Inline,
        Globals::Keep => link::Globals::Keep { context: "__sk_buff" },
    };
    let main = linked.functions[&main];
    if survey.tail_calls {
        forget_results(&mut translated.functions[main.0 as usize], old_main);
    }
    link::enter_by(&mut translated, program, main, survey.typed, globals)
        .map_err(|e| refused(&e))?;
    Ok(Translated {
        program,
        counters: map(library, &linked, hoist_bpf::passes::count::MAP_NAME),
        events: map(library, &linked, events::MAP_NAME)
            .ok_or_else(|| Gap::new("not-loadable", "the runtime counts no events"))?,
        device: map(library, &linked, device::MAP_NAME),
        resolve_again: !survey.twins.is_empty(),
        warnings: survey.warnings,
        module: translated,
    })
}

/// Has the verifier take any verdict for possible: see [`asm::forget`].
fn forget_results(main: &mut Function, old_main: FunctionId) {
    let calls = main.code.iter().filter(|inst| inst.target == Target::Call(old_main));
    let calls: Vec<_> = calls.map(|inst| (inst.id, inst.line)).collect();
    for (call, line) in calls {
        let code = asm::forget(0).map(|insn| Inst { line, ..main.new_inst(insn, Target::None) });
        main.insert_after(call, &code);
    }
}

/// The routines that a change needs.
fn routines(edit: &Edit) -> impl Iterator<Item = &'static str> {
    let (one, other) = match edit {
        Edit::Routine(name) => (Some(*name), None),
        Edit::RedirectMap { cpumaps, .. } => (
            Some(runtime::name::REDIRECT_DEVMAP),
            (!cpumaps.is_empty()).then_some(runtime::name::REDIRECT_CPUMAP),
        ),
        Edit::Field(_) | Edit::Result(_) | Edit::Length => (None, None),
    };
    one.into_iter().chain(other)
}

fn map(library: &Module, linked: &Linked, name: &str) -> Option<MapId> {
    let id = runtime::map(library, name)?;
    linked.maps.get(&id).copied()
}

/// Stands in for the runtime's broadcast by number, which cannot know the program's devmaps:
/// r1 is the socket buffer, r2 the number, r3 the flags.
fn dispatcher(
    module: &Module,
    placeholder: FunctionId,
    send: Option<FunctionId>,
    devmaps: &[MapId],
) -> Function {
    let placeholder = module.function(placeholder);
    let mut f = Function::empty(&placeholder.name, Linkage::Static);
    f.btf_type_id = placeholder.btf_type_id;
    let line = placeholder.code.first().and_then(|i| i.line);
    let end = f.new_inst(asm::mov_imm(0, 0), Target::None);
    let mut code = Vec::new();
    for (number, &devmap) in devmaps.iter().enumerate() {
        let Some(send) = send else { break };
        let next = f.new_inst(asm::jump_imm(jmp::JNE, 2, number as i32), Target::None);
        let entries = module.map(devmap).max_entries as i32;
        let body = [
            (asm::mov(4, 3), Target::None),
            (asm::mov_imm(3, entries), Target::None),
            (asm::load_map(2), Target::Map(devmap)),
            (asm::call(), Target::Call(send)),
            (asm::exit(), Target::None),
        ]
        .map(|(insn, target)| f.new_inst(insn, target));
        code.push(next);
        code.extend(body);
    }
    // Each test that fails goes on to the next one.
    let tests: Vec<usize> = (0..code.len()).filter(|i| code[*i].insn.code == TEST).collect();
    for (i, &at) in tests.iter().enumerate() {
        let to = tests.get(i + 1).map_or(end.id, |next| code[*next].id);
        code[at].target = Target::Jump(to);
    }
    let exit = f.new_inst(asm::exit(), Target::None);
    f.append(code);
    f.append([end, exit]);
    if let Some(first) = f.code.first_mut() {
        first.line = line;
    }
    f
}

/// The code of the dispatcher's tests.
const TEST: u8 = asm::jump_imm(jmp::JNE, 2, 0).code;
