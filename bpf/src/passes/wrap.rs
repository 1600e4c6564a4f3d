//! The shared shape: a new main that calls the old main as a subprogram.

use super::{PassError, func_btf};
use crate::module::{Function, FunctionId, Linkage, Module, Program, ProgramId, Target};

/// Makes `body`, which calls the old main, the entry of a program. `tail_calls` says whether code of
/// the program makes tail calls, for which the verifier demands BTF once they are in a subprogram.
pub(super) fn enter_through(
    module: &mut Module,
    id: ProgramId,
    mut body: Function,
    tail_calls: bool,
) -> Result<(), PassError> {
    let old = module.program(id).function;
    let name = module.program(id).name.clone();
    if module.btf.is_empty() && tail_calls {
        func_btf::invent(module);
    }
    match module.function(old).btf_type_id {
        Some(type_id) if !module.btf.is_empty() => {
            let twin = func_btf::add_twin(&mut module.btf, type_id);
            body.btf_type_id = Some(twin.ok_or_else(|| PassError {
                code: "program-btf-unusable",
                message: format!(
                    "{name}: BTF type {type_id} is not a function that can be extended; \
                     rebuild the object with `clang -g`, or load without this pass"
                ),
            })?);
        }
        _ if tail_calls => {
            return Err(PassError {
                code: "program-btf-missing",
                message: format!(
                    "{name}: the main function has no BTF, which tail calls from a subprogram \
                     need; rebuild the object with `clang -g`, or load without this pass"
                ),
            });
        }
        _ => {}
    }
    // Line information, where there is any, must cover the start of every function.
    let line = module.function(old).code.first().and_then(|i| i.line);
    if let Some(first) = body.code.first_mut() {
        first.line = line;
    }
    module.functions[old.0 as usize].linkage = Linkage::Static;
    let wrapper = module.add_function(body);
    enter(module, id, wrapper);
    Ok(())
}

/// Makes a function, which calls the old main, the entry of a program.
pub(super) fn enter(module: &mut Module, id: ProgramId, main: FunctionId) {
    keep_as_tail_target(module, id, module.program(id).function);
    module.programs[id.0 as usize].function = main;
}

/// A program that program arrays hold stays loadable as it was: tail calls must reach the old main,
/// which returns to the new one, and not enter the new one again.
fn keep_as_tail_target(module: &mut Module, id: ProgramId, old: FunctionId) {
    let held = module
        .maps
        .iter()
        .flat_map(|m| &m.initial)
        .any(|slot| slot.value == Target::FunctionAddress(old));
    if held {
        let program = Program { function: old, ..module.program(id).clone() };
        module.programs.push(program);
    }
}
