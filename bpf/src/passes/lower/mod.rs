//! Lowering: what a card cannot take is rewritten where the meaning stays the same.
//!
//! Each rewrite is a file of its own and keeps what the program does to the last bit; the one thing
//! it may change is what no program can observe (the order of instructions, the kind of a map whose
//! words are only added to), or what the user accepted by its code. What cannot be kept is a
//! [`Problem`] with the instruction and the source line.

mod maps;
mod report;
mod scope;
mod target;

pub use report::{Change, Problem, Rewrite};
pub use target::{Atomics, Target};

use report::Report;
use scope::Scope;

use crate::module::{Module, ProgramId};

/// A program that fits a card, as far as rewriting can make it.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The module. Maps keep their ids and names.
    pub module: Module,
    /// The program, under its old id.
    pub program: ProgramId,
    /// What was rewritten, in the order of the rewrites; empty when the module is what it was.
    pub changes: Vec<Change>,
}

/// Rewrites a program for a card. Run it after `resolve`, and after the program's variables are set:
/// constants are folded into the code.
///
/// # Errors
/// Everything that the card does not take and that cannot be rewritten without changing its meaning.
pub fn lower(
    module: &Module,
    program: ProgramId,
    target: &Target,
) -> Result<Lowered, Vec<Problem>> {
    match attempt(module, program, target) {
        (lowered, problems) if problems.is_empty() => Ok(lowered),
        (_, problems) => Err(problems),
    }
}

/// Rewrites what can be rewritten and says what cannot, so that all else that a card may refuse can
/// be looked for in what is left. With problems, the module is not to be loaded.
#[must_use]
pub fn attempt(module: &Module, program: ProgramId, target: &Target) -> (Lowered, Vec<Problem>) {
    let mut module = module.clone();
    let mut report = Report::default();
    let scope = Scope::of(&module, program);
    maps::run(&mut module, &scope, target, &mut report);
    (Lowered { module, program, changes: report.changes }, report.problems)
}

#[cfg(test)]
mod tests;
