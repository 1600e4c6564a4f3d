//! Reports as pages.

use std::fs;
use std::io;
use std::path::Path;

use hoist_benches::report::{Report, html};

use crate::cli::failure::Failure;
use crate::file;

/// Asks before anything is measured whether a page can be written, and leaves what the file holds.
///
/// # Errors
/// It cannot.
pub(super) fn writable(path: &Path) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    let opened = options.create(true).append(true).open(path);
    opened.map(drop).map_err(|error| unwritable(path, &error))
}

/// Writes a page that needs nothing else.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    fs::write(path, html::page(report)).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::input(
        format!("cannot write {}: {}", path.display(), file::words(error)),
        "--html takes a file that can be written",
    )
}
