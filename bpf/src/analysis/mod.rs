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
mod flow;
mod interp;
mod isa;
mod keeps;
mod maps;
mod marks;
mod memory;
mod places;
mod record;
mod state;
mod value;

pub use places::{Arg, At, CallSite, Callee, ContextUse, Kinds, Places, TooLarge, places};

use crate::module::{Module, ProgramId};
use crate::requirements::Requirements;

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

#[cfg(test)]
mod tests;
