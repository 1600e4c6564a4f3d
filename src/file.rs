//! Reading what a user names, which may be anything.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file that is read: a device that never ends is no input.
const LARGEST: u64 = 64 << 20;

/// A file's bytes.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("more than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// A file's text.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?).map_err(|_| io::Error::other("not text"))
}

/// The system's words for an error, without its number.
pub(crate) fn words(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}
