//! What takes long to make, kept between runs.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::VmError;

/// Entries that nobody used for so long are removed when their kind gets a new one.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// A folder of finished things, each under a kind and a key: `$HOIST_VM_CACHE`, else
/// `$XDG_CACHE_HOME/hoist/vm`, else `~/.cache/hoist/vm`.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this user.
    ///
    /// # Errors
    /// There is no such folder and it cannot be made.
    pub fn open() -> Result<Self, VmError> {
        let from = |name: &str, below: &str| {
            let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
            Some(PathBuf::from(value).join(below))
        };
        let root = from("HOIST_VM_CACHE", "")
            .or_else(|| from("XDG_CACHE_HOME", "hoist/vm"))
            .or_else(|| from("HOME", ".cache/hoist/vm"))
            .ok_or_else(|| {
                VmError::Missing("a folder to keep kernels in: set HOIST_VM_CACHE".to_owned())
            })?;
        Self::at(root)
    }

    fn at(root: PathBuf) -> Result<Self, VmError> {
        fs::create_dir_all(&root).map_err(|e| VmError::io("create", &root, &e))?;
        Ok(Self { root })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of that kind and key. When there is none, `make` fills an empty folder, which
    /// becomes the entry only when it succeeds; meanwhile others who want one of the kind wait.
    pub(super) fn entry(
        &self,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<(), VmError>,
    ) -> Result<PathBuf, VmError> {
        let path = self.root.join(format!("{kind}@{key}"));
        if !path.exists() {
            let _lock = self.lock(kind)?;
            if !path.exists() {
                self.make(kind, &path, make)?;
            }
        }
        let now = FileTimes::new().set_modified(SystemTime::now());
        // Only the age of an entry depends on it.
        let _ = File::open(&path).and_then(|f| f.set_times(now));
        Ok(path)
    }

    fn make(
        &self,
        kind: &str,
        path: &Path,
        make: impl FnOnce(&Path) -> Result<(), VmError>,
    ) -> Result<(), VmError> {
        self.remove_old(kind);
        let unfinished = self.root.join(format!("{kind}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(|e| VmError::io("remove", &unfinished, &e))?;
        }
        fs::create_dir(&unfinished).map_err(|e| VmError::io("create", &unfinished, &e))?;
        make(&unfinished)?;
        fs::rename(&unfinished, path).map_err(|e| VmError::io("rename to", path, &e))
    }

    fn lock(&self, kind: &str) -> Result<File, VmError> {
        let path = self.root.join(format!("{kind}.lock"));
        let file = File::create(&path).map_err(|e| VmError::io("create", &path, &e))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|e| VmError::io("lock", &path, &e.into()))?;
        Ok(file)
    }

    /// Entries of a kind with the time of their last use, the latest first.
    fn entries(&self, kind: &str) -> Vec<(SystemTime, PathBuf)> {
        let prefix = format!("{kind}@");
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let mut found: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
            .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
            .collect();
        found.sort_by(|a, b| b.cmp(a));
        found
    }

    /// The entry of a kind that was used last.
    pub(super) fn latest(&self, kind: &str) -> Option<PathBuf> {
        self.entries(kind).into_iter().next().map(|(_, path)| path)
    }

    fn remove_old(&self, kind: &str) {
        for (used, path) in self.entries(kind) {
            if used.elapsed().is_ok_and(|age| age > KEPT) {
                // What cannot be removed costs space, nothing else.
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once_and_only_when_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("deep/cache")).unwrap();
        let failed = cache.entry("k", "1", |_| Err(VmError::Missing("x".to_owned())));
        assert_eq!(failed, Err(VmError::Missing("x".to_owned())));
        assert_eq!(cache.latest("k"), None);
        let made = cache.entry("k", "1", |dir| {
            assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "left from the failure");
            fs::write(dir.join("file"), "1").map_err(|e| VmError::io("write", dir, &e))
        });
        let again = cache.entry("k", "1", |_| panic!("made twice"));
        assert_eq!(made, again);
        assert_eq!(fs::read(made.unwrap().join("file")).unwrap(), b"1");
        assert_eq!(cache.latest("k"), Some(again.unwrap()));
        assert_eq!(cache.latest("other"), None);
    }

    #[test]
    fn entries_go_when_nobody_used_them_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned()).unwrap();
        let [old, young] = ["old", "young"].map(|key| cache.entry("k", key, |_| Ok(())).unwrap());
        let other = cache.entry("other", "old", |_| Ok(())).unwrap();
        let long_ago = FileTimes::new().set_modified(SystemTime::now() - KEPT * 2);
        for path in [&old, &other] {
            File::open(path).unwrap().set_times(long_ago).unwrap();
        }
        let new = cache.entry("k", "new", |_| Ok(())).unwrap();
        let left = [&old, &young, &other, &new].map(|path| path.exists());
        assert_eq!(left, [false, true, true, true]);
    }
}
