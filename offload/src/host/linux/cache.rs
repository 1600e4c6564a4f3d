//! Remembering what trial loads found, until the next boot.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::system::{self, Asker};
use super::trial::Findings;
use crate::capability::Answer;

/// Raised whenever trials change what they ask or how they judge.
const FORMAT: u32 = 1;
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;

/// What findings depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    format: u32,
    boot: String,
    kernel: String,
    capabilities: u64,
    user_namespace: String,
    jit: Option<i64>,
    unprivileged_bpf_disabled: Option<i64>,
}

impl Key {
    /// The key of this process; `None` where the boot cannot be told from another.
    pub(super) fn current(asker: Asker) -> Option<Self> {
        let number = |name| system::sysctl(name).value().copied();
        Some(Self {
            format: FORMAT,
            boot: system::boot_id()?,
            kernel: system::release(),
            capabilities: asker.capabilities,
            user_namespace: fs::read_link("/proc/self/ns/user").ok()?.display().to_string(),
            jit: number("net.core.bpf_jit_enable"),
            unprivileged_bpf_disabled: number("kernel.unprivileged_bpf_disabled"),
        })
    }
}

/// Findings by section of the report. A section is remembered only when every answer in it is
/// conclusive: what was unknown may be known next time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sections {
    pub(super) program_types: Option<Findings>,
    pub(super) map_types: Option<Findings>,
    pub(super) xdp_helpers: Option<Findings>,
    pub(super) tc_helpers: Option<Findings>,
    pub(super) kfuncs: Option<Findings>,
    pub(super) features: Option<Findings>,
}

impl Sections {
    /// Without the sections that hold an open answer.
    pub(super) fn conclusive(self) -> Self {
        let keep = |section: Option<Findings>| {
            section.filter(|s| s.values().all(|f| f.answer != Answer::Unknown))
        };
        Self {
            program_types: keep(self.program_types),
            map_types: keep(self.map_types),
            xdp_helpers: keep(self.xdp_helpers),
            tc_helpers: keep(self.tc_helpers),
            kfuncs: keep(self.kfuncs),
            features: keep(self.features),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    key: Key,
    sections: Sections,
}

/// A directory with one file for each set of capabilities.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    user: u32,
}

impl Cache {
    /// The cache of a user: root's lasts as long as the boot, others' lies among their caches.
    pub(super) fn of(asker: Asker) -> Option<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let directory = if asker.user == 0 {
            PathBuf::from("/run/hoist/cache")
        } else {
            let caches =
                variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
            caches?.join("hoist")
        };
        Some(Self::at(directory, asker))
    }

    /// A cache in this directory.
    pub(super) fn at(directory: PathBuf, asker: Asker) -> Self {
        Self { directory, user: asker.user }
    }

    /// What is remembered for this key; nothing when the file is another's, or others may write it.
    pub(super) fn read(&self, key: &Key) -> Sections {
        let read = || {
            let path = self.path(key);
            let metadata = fs::symlink_metadata(&path).ok()?;
            let trusted = metadata.is_file()
                && metadata.uid() == self.user
                && metadata.mode() & GROUP_OR_OTHERS_WRITE == 0;
            let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            (trusted && entry.key == *key).then_some(entry.sections)
        };
        read().unwrap_or_default()
    }

    /// Remembers. A cache that cannot be written costs time later, nothing else.
    pub(super) fn write(&self, key: &Key, sections: Sections) {
        let entry = Entry { key: key.clone(), sections };
        let Ok(bytes) = serde_json::to_vec(&entry) else { return };
        let path = self.path(key);
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let written = DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.directory)
            .and_then(|()| replace(&temporary, &path, &bytes));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(format!("host-{:x}.json", key.capabilities))
    }
}

/// Readers see the old file or the new one, never half of it.
fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(temporary)?;
    file.write_all(bytes)?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::trial::{no, unknown, yes};
    use super::*;

    fn findings(list: &[(&str, crate::host::report::Finding)]) -> Option<Findings> {
        Some(list.iter().map(|(name, finding)| ((*name).to_owned(), finding.clone())).collect())
    }

    fn here() -> (tempfile::TempDir, Cache, Key) {
        let directory = tempfile::tempdir().expect("a directory");
        let asker = system::asker();
        let cache = Cache::at(directory.path().join("cache"), asker);
        (directory, cache, Key::current(asker).expect("a key"))
    }

    /// What was written is read back under the same key only.
    #[test]
    fn a_boot_or_capability_away_is_another_key() {
        let (_directory, cache, key) = here();
        let sections = Sections { features: findings(&[("tcx", yes("x"))]), ..Sections::default() };
        assert_eq!(cache.read(&key), Sections::default());
        cache.write(&key, sections.clone());
        assert_eq!(cache.read(&key), sections);
        for other in [
            Key { boot: "later".to_owned(), ..key.clone() },
            Key { kernel: "7.0".to_owned(), ..key.clone() },
            Key { capabilities: key.capabilities ^ 1, ..key.clone() },
        ] {
            assert_eq!(cache.read(&other), Sections::default(), "{other:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_not_believed() {
        let (_directory, cache, key) = here();
        cache.write(&key, Sections { kfuncs: findings(&[("a", no("x"))]), ..Sections::default() });
        fs::set_permissions(cache.path(&key), fs::Permissions::from_mode(0o666)).expect("a mode");
        assert_eq!(cache.read(&key), Sections::default());
    }

    #[test]
    fn open_answers_are_not_remembered() {
        let sections = Sections {
            kfuncs: findings(&[("a", yes("x")), ("b", unknown("x"))]),
            features: findings(&[("tcx", no("x"))]),
            ..Sections::default()
        };
        let kept = sections.clone().conclusive();
        assert_eq!(kept, Sections { kfuncs: None, ..sections });
    }
}
