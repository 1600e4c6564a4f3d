//! Archives of the form `newc`, which the kernel unpacks into its first root file system
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `S_IFDIR`, `S_IFREG` and `S_IFLNK`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// Writes one archive. Paths are those in the machine, from `/`.
pub(super) struct Archive<W> {
    out: W,
    entries: u32,
    folders: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0, folders: BTreeSet::new() }
    }

    fn entry(&mut self, path: &Path, mode: u32, data: &[u8]) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned();
        self.raw(&name, mode, data)
    }

    fn raw(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let too_large = |_| io::Error::other(format!("{name} is larger than the format allows"));
        let size = u32::try_from(data.len()).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        // Inode, mode, owner, group, links, time, size, device twice, length of the name, check.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(header.len() + name.len() + 1)?;
        self.out.write_all(data)?;
        self.pad(data.len())
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.wrapping_neg() % 4])
    }

    /// A folder with all folders above it.
    pub(super) fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|a| *a != Path::new("/") && **a != *"").collect();
        missing.reverse();
        for folder in missing {
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, DIRECTORY | 0o755, &[])?;
            }
        }
        Ok(())
    }

    /// A file that everybody may read and execute.
    pub(super) fn file(&mut self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.parent(path)?;
        self.entry(path, REGULAR | 0o755, data)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &Path, target: &str) -> io::Result<()> {
        self.parent(path)?;
        self.entry(path, SYMLINK | 0o777, target.as_bytes())
    }

    fn parent(&mut self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.folder(parent))
    }

    /// A folder of this host with all that is below it, as `to`. Links are followed.
    pub(super) fn tree(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.folder(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            let kind = fs::metadata(&path)?;
            if kind.is_dir() {
                self.tree(&path, &to)?;
            } else if kind.is_file() {
                self.file(&to, &fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.raw("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::require;

    #[test]
    fn cpio_reads_what_is_written() {
        if !require::command("cpio_reads_what_is_written", "cpio") {
            return;
        }
        let mut archive = Archive::new(Vec::new());
        archive.file(Path::new("/a/b/file"), b"hello").unwrap();
        archive.link(Path::new("/a/link"), "b/file").unwrap();
        archive.file(Path::new("/a/b/empty"), b"").unwrap();
        let bytes = archive.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("cpio")
            .args(["-i", "-d", "--quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(child.wait().unwrap().success());
        for (path, content) in [("a/b/file", "hello"), ("a/link", "hello"), ("a/b/empty", "")] {
            assert_eq!(fs::read_to_string(folder.path().join(path)).unwrap(), content, "{path}");
        }
    }
}
