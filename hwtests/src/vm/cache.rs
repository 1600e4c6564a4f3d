//! What takes long to make, kept between runs.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::VmError;

/// Entries that nobody used for so long are removed when their kind gets a new one.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// In each entry: names and sizes of its files, but not of those in folders.
const CONTENTS: &str = ".contents";

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
        if !whole(&path) {
            let _lock = self.lock(kind)?;
            if !whole(&path) {
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
        let contents = unfinished.join(CONTENTS);
        fs::write(&contents, sizes(&unfinished).unwrap_or_default())
            .map_err(|e| VmError::io("write", &contents, &e))?;
        if path.exists() {
            fs::remove_dir_all(path).map_err(|e| VmError::io("remove", path, &e))?;
        }
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
        self.entries(kind).into_iter().map(|(_, path)| path).find(|path| whole(path))
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

/// Whether an entry has all its files in the sizes that they had when it was made: a disk that was full
/// and a cleaner of caches leave others.
fn whole(entry: &Path) -> bool {
    match fs::read_to_string(entry.join(CONTENTS)) {
        Ok(contents) => sizes(entry).is_ok_and(|now| now == contents),
        // Made before contents were written down, or by hand.
        Err(_) => entry.exists(),
    }
}

/// Names and sizes of the files in a folder.
fn sizes(folder: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, about) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
        if about.is_file() && name != CONTENTS {
            lines.push(format!("{} {name}\n", about.len()));
        }
    }
    lines.sort();
    Ok(lines.concat())
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
    fn an_entry_that_lost_something_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned()).unwrap();
        let make = |dir: &Path| {
            fs::write(dir.join("image"), "whole").map_err(|e| VmError::io("write", dir, &e))
        };
        let path = cache.entry("k", "1", make).unwrap();
        let image = path.join("image");
        type Damage = fn(&Path) -> io::Result<()>;
        let cut: Damage = |image| fs::write(image, "who");
        for damage in [cut, |image| fs::remove_file(image)] {
            damage(&image).unwrap();
            assert_eq!(cache.latest("k"), None);
            assert_eq!(cache.entry("k", "1", make).unwrap(), path);
            assert_eq!(fs::read(&image).unwrap(), b"whole");
        }
        cache.entry("k", "1", |_| panic!("nothing is missing")).unwrap();
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
