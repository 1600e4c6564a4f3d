//! Names for namespaces under `/run/netns`, and the sweeping of those whose owner was killed.
//!
//! Each name has a lock file that its owner holds with flock(2). The kernel frees the lock when the
//! owner dies by whatever means; process ids, which are used again, are in the name for people only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::UnmountFlags;

use super::LabError;
use super::namespace::OWN;

/// Where iproute2 looks for names.
const NAMES: &str = "/run/netns";
/// Where the locks are.
const LOCKS: &str = "/run/hoist-lab";

/// A reserved name; unmounted and free again on drop.
#[derive(Debug)]
pub(super) struct Name {
    text: String,
    bound: bool,
    /// Held until drop; its own drop frees the lock.
    _lock: File,
}

impl Name {
    /// Reserves a name that no other process has.
    pub(super) fn reserve(label: &str) -> Result<Self, LabError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for dir in [NAMES, LOCKS] {
            fs::create_dir_all(dir).map_err(|e| LabError::io("mkdir", dir, &e))?;
        }
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let text = format!("hoist-{label}-{}-{number}", std::process::id());
            let path = Path::new(LOCKS).join(&text);
            let failed = |e: io::Error| LabError::io("lock", path.display(), &e);
            let lock = match File::create_new(&path) {
                Ok(lock) => lock,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(failed(e)),
            };
            lock.lock().map_err(failed)?;
            // A sweeper may have taken the file between its creation and the lock.
            if lock.metadata().map_err(failed)?.nlink() > 0 {
                return Ok(Self { text, bound: false, _lock: lock });
            }
        }
    }

    /// Gives the name to the calling thread's namespace.
    pub(super) fn bind(&mut self) -> Result<(), LabError> {
        let path = self.path();
        let failed = |e: io::Error| LabError::io("name", path.display(), &e);
        File::create_new(&path).map_err(failed)?;
        self.bound = true;
        rustix::mount::mount_bind(OWN, &path).map_err(|e| failed(e.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.text)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.bound {
            // What cannot be released now is swept once this process is gone.
            let _ = unname(&self.text);
        }
        let _ = fs::remove_file(Path::new(LOCKS).join(&self.text));
    }
}

/// Removes the names of namespaces whose owner no longer lives, and returns them. The namespaces
/// themselves end with that, and so do all interfaces in them.
///
/// # Errors
/// A name of the dead could not be removed.
pub fn sweep() -> Result<Vec<String>, LabError> {
    let mut swept = Vec::new();
    let entries = match fs::read_dir(LOCKS) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(swept),
        Err(e) => return Err(LabError::io("read", LOCKS, &e)),
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        // Another sweeper may be faster.
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let Some(text) = path.file_name().and_then(|name| name.to_str()) else { continue };
        unname(text)
            .map_err(|e| LabError::io("sweep", Path::new(NAMES).join(text).display(), &e))?;
        let _ = fs::remove_file(&path);
        swept.push(text.to_owned());
    }
    Ok(swept)
}

fn unname(text: &str) -> io::Result<()> {
    let path = Path::new(NAMES).join(text);
    match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
        // It was killed before it mounted, or somebody else unmounted it.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(e) => return Err(e.into()),
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
