//! Pins and their directories, by the rules of a bpffs.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::Event;
use super::books::{Books, Object};
use super::errno::{EEXIST, ENOENT, ENOTEMPTY, EPERM};
use crate::kernel::KernelError;

/// Where the fake has its bpffs.
const ROOT: &str = "/sys/fs/bpf";

impl Books {
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<(), KernelError> {
        legal(path, "mkdir")?;
        self.directories.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    pub(super) fn bpffs(&mut self, sub: &str) -> Result<PathBuf, KernelError> {
        let path = Path::new(ROOT).join(sub);
        self.make_directory(&path)?;
        Ok(path)
    }

    pub(super) fn pin(&mut self, object: Object, path: &Path) -> Result<(), KernelError> {
        const OPERATION: &str = "BPF_OBJ_PIN";
        legal(path, OPERATION)?;
        let refused = |errno| KernelError::new(OPERATION, path.display().to_string(), errno);
        if !path.parent().is_some_and(|parent| self.directories.contains(parent)) {
            return Err(refused(ENOENT));
        }
        if self.pins.contains_key(path) || self.directories.contains(path) {
            return Err(refused(EEXIST));
        }
        self.pins.insert(path.to_path_buf(), object);
        self.journal.push(Event::Pinned(path.to_path_buf()));
        Ok(())
    }

    pub(super) fn get_pinned(&mut self, path: &Path) -> Result<Option<OwnedFd>, KernelError> {
        self.pins.get(path).copied().map(|object| self.hand_out(object)).transpose()
    }

    pub(super) fn unpin(&mut self, path: &Path) {
        if self.pins.remove(path).is_some() {
            self.journal.push(Event::Unpinned(path.to_path_buf()));
        }
    }

    pub(super) fn list_directory(&self, path: &Path) -> Vec<String> {
        let children = self.pins.keys().chain(&self.directories);
        let mut names: Vec<String> = children
            .filter(|child| child.parent() == Some(path))
            .filter_map(|child| Some(child.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names
    }

    pub(super) fn rename_directory(&mut self, from: &Path, to: &Path) -> Result<(), KernelError> {
        let refused = |errno| KernelError::new("rename", from.display().to_string(), errno);
        if !self.directories.contains(from) {
            return Err(refused(ENOENT));
        }
        if self.directories.contains(to) {
            return Err(refused(ENOTEMPTY));
        }
        let moved = |path: &Path| path.strip_prefix(from).map_or(path.into(), |rest| to.join(rest));
        self.pins =
            std::mem::take(&mut self.pins).into_iter().map(|(p, o)| (moved(&p), o)).collect();
        self.directories =
            std::mem::take(&mut self.directories).iter().map(|path| moved(path)).collect();
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &Path) {
        let below: Vec<PathBuf> =
            self.pins.keys().filter(|pin| pin.starts_with(path)).cloned().collect();
        below.iter().for_each(|pin| self.unpin(pin));
        self.directories.retain(|directory| !directory.starts_with(path));
    }
}

/// The kernel keeps names with a dot for itself.
fn legal(path: &Path, operation: &str) -> Result<(), KernelError> {
    let below = path.strip_prefix(ROOT).unwrap_or(path);
    if below.to_string_lossy().contains('.') {
        return Err(KernelError::new(operation, path.display().to_string(), EPERM));
    }
    Ok(())
}
