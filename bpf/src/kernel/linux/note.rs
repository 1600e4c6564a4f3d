//! Notes that hoist leaves itself under `/run/hoist`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::absent_is_success;
use crate::kernel::KernelError;

pub(super) const ROOT: &str = "/run/hoist";

fn path(directory: &str, name: &str) -> PathBuf {
    let inside = |c: char| if c == '/' { '_' } else { c };
    Path::new(ROOT).join(directory).join(name.chars().map(inside).collect::<String>())
}

pub(super) fn read(directory: &str, name: &str) -> Result<Option<Vec<u8>>, KernelError> {
    let path = path(directory, name);
    match fs::read(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KernelError::io("read", &path, &error)),
    }
}

pub(super) fn leave(
    directory: &str,
    name: &str,
    content: Option<&[u8]>,
) -> Result<(), KernelError> {
    let path = path(directory, name);
    match content {
        Some(content) => {
            write(&path, content).map_err(|error| KernelError::io("write", &path, &error))
        }
        None => absent_is_success("unlink", &path, fs::remove_file(&path)),
    }
}

/// Written beside, synced, and renamed: a reader sees the old content or the new.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let beside = directory.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::rename(&beside, path));
    if named.is_err() {
        // What went wrong before is the error to report.
        drop(fs::remove_file(&beside));
    }
    named.and_then(|()| File::open(directory)?.sync_all())
}
