//! Advisory locks (flock(2)) under `/run/hoist`.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::absent_is_success;
use crate::kernel::KernelError;

const DIRECTORY: &str = "/run/hoist/lock";
/// Exists everywhere and can be locked even where nothing can be written.
const FALLBACK: &str = "/run";

pub(super) fn named(name: &str) -> Result<OwnedFd, KernelError> {
    named_in(Path::new(DIRECTORY), Path::new(FALLBACK), name)
}

/// The lock of a name if nobody holds it.
pub(super) fn free(name: &str) -> Result<Option<OwnedFd>, KernelError> {
    free_in(Path::new(DIRECTORY), name)
}

/// Removes the file of a lock.
pub(super) fn remove(name: &str) -> Result<(), KernelError> {
    let path = path(Path::new(DIRECTORY), name);
    absent_is_success("unlink", &path, std::fs::remove_file(&path))
}

fn free_in(directory: &Path, name: &str) -> Result<Option<OwnedFd>, KernelError> {
    let path = path(directory, name);
    let file = create(&path).map_err(|error| KernelError::io("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file.into())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(KernelError::io("flock", &path, &error)),
    }
}

fn path(directory: &Path, name: &str) -> PathBuf {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    directory.join(format!("{}.lock", name.chars().map(keep).collect::<String>()))
}

fn named_in(directory: &Path, fallback: &Path, name: &str) -> Result<OwnedFd, KernelError> {
    let path = path(directory, name);
    let (file, path) = match create(&path) {
        Ok(file) => (file, path.as_path()),
        Err(_) => {
            let opened = File::open(fallback);
            (opened.map_err(|error| KernelError::io("open", fallback, &error))?, fallback)
        }
    };
    take(&file, path)?;
    Ok(file.into())
}

/// Waits for a lock. It is released when the last copy of the descriptor is closed.
pub(super) fn take(file: &File, path: impl AsRef<Path>) -> Result<(), KernelError> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome.map_err(|error| KernelError::io("flock", path, &error)),
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    /// Whether a second taker waits for the first.
    fn waits(first: OwnedFd, second: impl FnOnce() -> OwnedFd + Send) -> bool {
        let released = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let _held = second();
                released.load(Ordering::SeqCst)
            });
            std::thread::sleep(Duration::from_millis(50));
            released.store(true, Ordering::SeqCst);
            drop(first);
            other.join().unwrap()
        })
    }

    #[test]
    fn a_name_is_taken_once_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let take = |name: &str| named_in(&path.join("a/b"), path, name).unwrap();
        assert!(waits(take("x"), || take("x")));
        assert!(!waits(take("x"), || take("y")));
        assert!(waits(take("../x"), || take(".._x")), "no name leaves the directory");
        assert!(path.join("a/b/.._x.lock").exists());
        let held = free_in(path, "x").unwrap();
        assert!(held.is_some() && free_in(path, "x").unwrap().is_none());
        drop(held);
        assert!(free_in(path, "x").unwrap().is_some());
        assert!(free_in(Path::new("/proc/none"), "x").is_err(), "no lock for all names");
    }

    #[test]
    fn where_no_file_can_be_made_all_names_are_one() {
        let directory = tempfile::tempdir().unwrap();
        let take = |name: &str| named_in(Path::new("/proc/none"), directory.path(), name).unwrap();
        assert!(waits(take("x"), || take("y")));
    }
}
