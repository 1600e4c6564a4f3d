//! Lowering: what a card cannot take is rewritten where the meaning stays the same.
//!
//! Each rewrite is a file of its own and keeps what the program does to the last bit; the one thing
//! it may change is what no program can observe (the order of instructions, the kind of a map whose
//! words are only added to), or what the user accepted by its code. What cannot be kept is a
//! [`Problem`] with the instruction and the source line.
//!
//! The order matters: constants decide which code is left, what is left decides which loops and
//! variables there are, and what all of them write is of the first version of the instruction set,
//! so that instructions come last.

mod asm;
mod constants;
mod counters;
mod edit;
mod frame;
mod globals;
mod inline;
mod isa;
mod live;
mod loops;
mod maps;
mod prune;
mod report;
mod scope;
mod stores;
mod tables;
mod target;

pub use report::{Change, Problem, Rewrite};
pub use target::{Atomics, FrameStack, Target};

use report::Report;
use scope::Scope;

use crate::analysis::{self, STACK_LIMIT, Trace};
use crate::image::{Image, ImageError};
use crate::module::{Module, ProgramId};

/// Codes of differences that the user can accept.
pub const ACCEPTABLE: [&str; 2] = [maps::LRU_BOUND, stores::RACE];

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
    let mut run = Run { module: module.clone(), program, target, report: Report::default() };
    if let Err(problem) = run.all() {
        run.report.problems.push(problem);
    }
    let Report { changes, problems } = run.report;
    (Lowered { module: run.module, program, changes }, problems)
}

/// Times that constants are folded: each time may show that code is not reached, and so that other
/// values are constant.
const FOLDS: usize = 8;

/// Bytes of stack that callers of a function that makes tail calls must stay below
/// (`check_max_stack_depth_subprog` in `kernel/bpf/verifier.c`).
const TAIL_CALL_STACK: u64 = 256;

/// One program on its way.
struct Run<'t> {
    module: Module,
    program: ProgramId,
    target: &'t Target,
    report: Report,
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), Problem> {
        if !self.target.global_data {
            self.fold()?;
        }
        if !self.target.calls || self.target.stack.is_some() {
            let (scope, trace) = (self.scope(), self.trace()?);
            let (module, report) = (&mut self.module, &mut self.report);
            if inline::run(module, &scope, &trace, self.target, report) && !self.target.global_data
            {
                // What functions are called with may be constants.
                self.fold()?;
            }
        }
        if !self.target.loops {
            let (scope, module, report) = (self.scope(), &mut self.module, &mut self.report);
            let unrolled = loops::unroll(module, self.program, &scope, self.target, report);
            if unrolled && !self.target.global_data {
                // What a counter indexes may be constants now.
                self.fold()?;
            }
        }
        let scope = self.scope();
        maps::run(&mut self.module, &scope, self.target, &mut self.report);
        if !self.target.global_data {
            let (module, report) = (&mut self.module, &mut self.report);
            tables::run(module, &scope, self.target, report);
            let trace = self.trace()?;
            globals::run(&mut self.module, &scope, &trace, self.target, &mut self.report);
        }
        if !self.target.map_stores || !self.target.per_cpu_maps {
            let (scope, trace) = (self.scope(), self.trace()?);
            counters::run(&mut self.module, &scope, &trace, self.target, &mut self.report);
        }
        let trace = self.trace()?;
        isa::run(&mut self.module, &scope, &trace, self.target, &mut self.report);
        if self.report.problems.is_empty() && !self.report.changes.is_empty() {
            self.check()?;
        }
        Ok(())
    }

    fn fold(&mut self) -> Result<(), Problem> {
        for _ in 0..FOLDS {
            let (scope, trace) = (self.scope(), self.trace()?);
            let (module, report) = (&mut self.module, &mut self.report);
            let folded = constants::fold(module, &scope.functions, &trace, report);
            let trace = if folded { self.trace()? } else { trace };
            let (module, report) = (&mut self.module, &mut self.report);
            if !prune::prune(module, &scope.functions, &trace, report) && !folded {
                break;
            }
        }
        Ok(())
    }

    fn scope(&self) -> Scope {
        Scope::of(&self.module, self.program)
    }

    fn trace(&self) -> Result<Trace, Problem> {
        analysis::trace(&self.module, self.program).map_err(|error| {
            let remedy = "split the program";
            Problem::new("lowering-too-large", error.to_string(), remedy)
        })
    }

    /// Whether what came out can be loaded at all.
    fn check(&self) -> Result<(), Problem> {
        let places = analysis::places(&self.module, self.program);
        let stack = places.map_or(0, |places| places.stack_bytes);
        if stack > STACK_LIMIT {
            let message = format!(
                "the rewritten program needs {stack} of {STACK_LIMIT} bytes of stack, because values \
                 have to be kept there"
            );
            let remedy = "use less stack, or write so that less has to be rewritten";
            return Err(Problem::new("lowered-stack", message, remedy));
        }
        let (scope, trace) = (self.scope(), self.trace()?);
        if let Some(bytes) = scope.stack_before_tail_calls(&self.module, &trace)
            && bytes >= TAIL_CALL_STACK
        {
            let message = format!(
                "the rewritten program has {bytes} bytes of stack in use where a function makes a tail \
                 call, which the kernel allows below {TAIL_CALL_STACK} bytes, because values have to be \
                 kept there"
            );
            let remedy = "make tail calls from the program itself, or write so that less has to be \
                          rewritten";
            return Err(Problem::new("lowered-stack", message, remedy));
        }
        match Image::build(&self.module, self.program) {
            Err(error @ (ImageError::JumpTooFar { .. } | ImageError::TooLong)) => {
                let message = format!("the rewritten program is too long: {error}");
                Err(Problem::new("lowering-too-large", message, "split the program"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
