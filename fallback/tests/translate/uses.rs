//! What translations of programs that the kernel takes do with the socket buffer.

use hoist_bpf::analysis::{self, ContextUse, Places};
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::opcode::{access_bytes, class};
use hoist_fallback::tc::translate::Translated;

use crate::invariants::{check, inst};

/// `__sk_buff` fields that stand for those of `xdp_md`, and the length.
const FIELDS: [i16; 6] = [0, 12, 40, 76, 80, 140];

/// Fails with a reason where a translation of a program that the kernel takes is not what it must
/// be.
pub(crate) fn check_whole(
    module: &Module,
    program: ProgramId,
    translated: &Translated,
) -> Result<(), String> {
    check(module, program, translated)?;
    let after = analysis::places(&translated.module, program).map_err(|e| e.to_string())?;
    uses(module, &translated.module, &after)
}

/// Programs use the socket buffer for the fields that they asked of their own context, and its
/// length, and for nothing else.
fn uses(module: &Module, new: &Module, after: &Places) -> Result<(), String> {
    for (at, found) in &after.context {
        // The runtime reads and writes more of the buffer than programs do.
        if at.function.0 as usize >= module.functions.len() {
            continue;
        }
        let inst = inst(new, *at).ok_or("a place without an instruction")?;
        let loads = inst.insn.class() == class::LDX && access_bytes(inst.insn.code) == 4;
        let plain = matches!(found, ContextUse::Field(_) | ContextUse::Misshapen);
        if !loads || !plain || !FIELDS.contains(&inst.insn.off) {
            return Err(format!("{at:?} uses the context otherwise ({found:?}): {}", inst.insn));
        }
    }
    Ok(())
}
