//! Why a program cannot be translated, with the place in its code.

use hoist_bpf::analysis::At;
use hoist_bpf::module::{Inst, Module};
use hoist_offload::Gap;

/// A reason with the instruction and the source line that it is about.
pub(super) fn gap(module: &Module, at: At, code: &str, message: impl Into<String>) -> Gap {
    let function = module.function(at.function);
    let mut gap = Gap::new(code, message);
    if let Some(position) = function.position(at.inst) {
        let inst = &function.code[position];
        let slot = || function.code[..position].iter().map(Inst::slots).sum::<usize>() as u32;
        gap.insn = Some(format!("{}+{}", function.name, inst.origin.unwrap_or_else(slot)));
        // Line 0 stands for code that belongs to no line.
        let line = inst.line.and_then(|l| module.lines.get(l as usize)).filter(|l| l.line > 0);
        gap.line = line.cloned();
    }
    gap
}
