//! Reports as pages.

use std::fs;
use std::path::Path;

use hoist_benches::report::{Report, html};

use crate::cli::failure::Failure;
use crate::file;

/// Writes a page that needs nothing else.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    fs::write(path, html::page(report)).map_err(|error| {
        Failure::input(
            format!("cannot write {}: {}", path.display(), file::words(&error)),
            "--html takes a file that can be written",
        )
    })
}
