//! `hoist bench`: how fast, with every packet accounted for.

use super::args::{Bench, BenchCommand};
use super::context::Context;
use super::failure::Failure;

mod compare;
mod linerate;
mod measure;
mod page;
mod place;
mod programs;
mod report;
mod searches;
mod send;

pub(crate) use searches::{OwnGoal, Sought};

/// Measures, or does something with what was measured.
///
/// # Errors
/// A mistake in the arguments, a missing privilege, or a failure that concerns every cell.
pub(super) fn run(cx: &mut Context<'_>, args: &Bench) -> Result<(), Failure> {
    match &args.command {
        None => measure::run(cx, args),
        Some(BenchCommand::Compare(args)) => compare::run(cx, args),
        Some(BenchCommand::Linerate(args)) => linerate::run(cx, args),
        Some(BenchCommand::Report(args)) => report::run(cx, args),
    }
}
