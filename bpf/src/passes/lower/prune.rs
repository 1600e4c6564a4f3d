//! Takes out what constants have made superfluous: code that no way leads to, branches that are
//! decided, values that nobody reads.

use super::asm;
use super::edit::{Code, Edits};
use super::live::Live;
use super::report::{Report, Rewrite, site};
use crate::analysis::Trace;
use crate::analysis::flow::{Flow, flow};
use crate::insn::Insn;
use crate::module::{FunctionId, Module};
use crate::opcode::class;

/// Takes out what is superfluous in some functions; whether code that could run otherwise is gone,
/// so that more may be known of what is left.
pub(super) fn prune(
    module: &mut Module,
    functions: &[FunctionId],
    trace: &Trace,
    report: &mut Report,
) -> bool {
    let mut any = false;
    for &id in functions.iter().filter(|id| trace.reached(**id, 0)) {
        let gone = unreached(module, id, trace, report);
        any |= gone;
        unread(module, id);
    }
    any
}

/// Takes out code that is not reached, and branches that only go one way.
fn unreached(module: &mut Module, id: FunctionId, trace: &Trace, report: &mut Report) -> bool {
    let function = module.function(id);
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    let (mut first, mut count) = (None, 0);
    for (at, inst) in function.code.iter().enumerate() {
        if !trace.reached(id, at) {
            edits.remove(at);
            first.get_or_insert(inst);
            count += 1;
        } else if flow(inst) == Flow::Branch {
            match (trace.taken(id, at), trace.fallen(id, at)) {
                (true, false) => {
                    let mut code = Code::new(&mut next_id, *inst);
                    code.refer(asm::goto(), inst.target);
                    edits.replace(at, code);
                }
                (false, true) => edits.remove(at),
                _ => {}
            }
        }
    }
    if let Some(inst) = first {
        let message =
            format!("{count} instructions from here on that constants switch off, removed");
        report.code_changed(Rewrite::DeadCode, site(module, function, inst), message);
    }
    let any = !edits.is_empty();
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
    any
}

/// Takes out what only computes values that nobody reads.
pub(super) fn unread(module: &mut Module, id: FunctionId) {
    loop {
        let live = Live::of(module, id);
        let mut edits = Edits::default();
        for (at, inst) in module.function(id).code.iter().enumerate() {
            if computes(inst.insn) && live.dead_after(at, inst.insn.dst()) {
                edits.remove(at);
            }
        }
        if edits.is_empty() {
            return;
        }
        edits.apply(&mut module.functions[id.0 as usize]);
    }
}

/// Whether an instruction does nothing but give its register a value.
fn computes(insn: Insn) -> bool {
    matches!(insn.class(), class::ALU | class::ALU64) || insn.is_wide()
}
