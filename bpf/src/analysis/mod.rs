//! What a program needs, from its bytecode.
//!
//! The code is followed as the verifier would: over every feasible path, given the constants that
//! are frozen when it is loaded (`.rodata`, and Kconfig values once filled in), so that a branch
//! switched off by configuration needs nothing. Run it after `resolve`: before, CO-RE decisions are
//! still open and their code counts as reachable.
//!
//! A claim is *must* when loading or running cannot do without it, and *may* otherwise: a verdict
//! computed at run time, a weak kernel function, a map no code refers to. Code too large to follow
//! within a fixed budget of work and memory (the kernel's verifier has one too) is not followed;
//! what its instructions suggest is then all *may*.

mod arith;
mod branch;
mod calls;
mod claims;
mod closure;
mod collect;
pub(crate) mod flow;
mod follow;
mod interp;
mod isa;
mod keeps;
mod maps;
mod marks;
mod memory;
mod places;
mod record;
mod state;
mod trace;
mod value;
mod values;

pub(crate) use isa::version as isa_version;
pub use places::{Arg, At, CallSite, Callee, ContextUse, Kinds, Places, TooLarge, places};
pub(crate) use trace::{Base, Trace, trace};
pub use values::{Entry, Given, Range, Span, Value, Values, values};

use crate::insn::Insn;
use crate::module::{FunctionId, Module, ProgramId};
use crate::requirements::Requirements;
use marks::Mark;

/// Bytes of stack the kernel gives to a call chain (`MAX_BPF_STACK`).
pub const STACK_LIMIT: u64 = 512;

/// What a program needs. A program id that the module does not have needs nothing.
#[must_use]
pub fn requirements(module: &Module, program: ProgramId) -> Requirements {
    let Some(entry) = module.programs.get(program.0 as usize) else {
        return Requirements::default();
    };
    let closures = closure::entries(module, entry.function);
    let mut interp = interp::Interp::new(module);
    let followed = closures
        .iter()
        .filter_map(|c| c.functions.first())
        .all(|&main| interp.program(main).is_ok());
    claims::all(module, entry, &closures, interp.marks, followed)
}

/// Whether a program may pass a frame: unless every path was followed, and ends with another verdict,
/// it may. A program with tail calls may hand over to any program of its module.
#[must_use]
pub fn may_pass(module: &Module, program: ProgramId) -> bool {
    let Some(entry) = module.programs.get(program.0 as usize) else { return false };
    let mut interp = interp::Interp::new(module);
    let tail_calls =
        module.functions.iter().flat_map(|f| &f.code).any(|inst| inst.insn == TAIL_CALL);
    let mains: Vec<FunctionId> = match tail_calls {
        true => module.programs.iter().map(|program| program.function).collect(),
        false => vec![entry.function],
    };
    let followed = mains.iter().all(|&main| interp.program(main).is_ok());
    let passes = Mark::RETURNS_PASS | Mark::RETURNS_ANY;
    let may = |main: &FunctionId| {
        let marks = interp.marks.get(main.0 as usize);
        marks.is_none_or(|marks| marks.insts.iter().any(|mark| mark.intersects(passes)))
    };
    !followed || mains.iter().any(may)
}

/// Every function that is loaded with a program, and with the programs that it can tail-call by what
/// its maps hold from the start; an entry before what it calls.
pub(crate) fn functions(module: &Module, program: ProgramId) -> Vec<FunctionId> {
    let Some(entry) = module.programs.get(program.0 as usize) else { return Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    let closures = closure::entries(module, entry.function);
    closures.into_iter().flat_map(|c| c.functions).filter(|f| seen.insert(*f)).collect()
}

/// A call of `bpf_tail_call`.
pub(crate) const TAIL_CALL: Insn = Insn::new(0x85, 0, 0, 0, 12);

#[cfg(test)]
mod tests;
