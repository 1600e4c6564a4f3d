//! The `hoist` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hoist::cli::main(hoist::registry())
}
