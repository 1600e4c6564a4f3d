//! What a medium carries.

use hoist_benches::linerate::{SPEEDS, Size, Table};

use crate::cli::args::BenchLinerate;
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// Prints frames per second of sizes at speeds.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn run(cx: &mut Context<'_>, args: &BenchLinerate) -> Result<(), Failure> {
    let sizes = if args.size.is_empty() { Size::usual() } else { args.size.clone() };
    let speeds: Vec<f64> = match args.speed.as_slice() {
        [] => SPEEDS.to_vec(),
        some => some.iter().map(|speed| speed.0).collect(),
    };
    let table = Table::of(&sizes, &speeds);
    if cx.shell.json() {
        return cx.shell.document(&table);
    }
    cx.shell.print(table.text())
}
