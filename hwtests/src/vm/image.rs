//! The first and only root file system of a machine: modules, tools of this host, programs to run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::cpio::Archive;
use super::script::Script;
use super::{Kernel, VmError, host};

/// Commands of this host that tests use besides busybox's; those it has not are left out.
const TOOLS: [&str; 12] = [
    "bash",
    "bpftool",
    "dash",
    "ethtool",
    "ip",
    "lsns",
    "nsenter",
    "setpriv",
    "strace",
    "tc",
    "unshare",
    "xdp-loader",
];

/// Objects of others, by which tests compare and which libxdp looks for.
const OBJECTS: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// Folders that are there from the start.
const FOLDERS: [&str; 12] = [
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/t",
    "/tmp",
    "/usr/bin",
    "/usr/sbin",
    "/var",
];

/// Starts everything else.
const INIT: &str = include_str!("init.sh");

/// What an image is made of besides what is run.
pub(super) struct Image<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) module: Option<&'a Path>,
}

impl Image<'_> {
    /// Writes it into `folder`: the kernel unpacks several archives one after the other.
    pub(super) fn write(
        &self,
        folder: &Path,
        script: &Script,
        programs: &[&Path],
        trees: &[PathBuf],
    ) -> Result<PathBuf, VmError> {
        let path = folder.join("initrd");
        let write = || {
            let mut out = BufWriter::new(fs::File::create(&path)?);
            io::copy(&mut fs::File::open(self.kernel.modules())?, &mut out)?;
            let mut files = Files { archive: Archive::new(out), written: BTreeSet::new() };
            files.system()?;
            if let Some(module) = self.module {
                files.archive.file(Path::new("/netdevsim.ko"), &fs::read(module)?)?;
            }
            for program in programs.iter().filter(|p| p.components().count() > 1) {
                files.program(program)?;
            }
            for tree in trees.iter().filter(|t| t.exists()) {
                files.archive.tree(tree, tree)?;
            }
            files.archive.file(Path::new("/script"), script.text.as_bytes())?;
            files.archive.finish()
        };
        write().map_err(|e| VmError::io("write", &path, &e))?;
        Ok(path)
    }
}

/// The least that boots: prints `words` and ends.
pub(super) fn trial(folder: &Path, words: &str) -> Result<PathBuf, VmError> {
    let path = folder.join("initrd");
    let init = format!("#!/bin/busybox sh\necho {words}\n/bin/busybox poweroff -f\n");
    let write = || {
        let archive = Archive::new(BufWriter::new(fs::File::create(&path)?));
        let mut files = Files { archive, written: BTreeSet::new() };
        files.with_libraries(&found("busybox")?, Path::new("/bin/busybox"))?;
        files.archive.file(Path::new("/init"), init.as_bytes())?;
        files.archive.finish()
    };
    write().map_err(|e| VmError::io("write", &path, &e))?;
    Ok(path)
}

struct Files<W> {
    archive: Archive<W>,
    written: BTreeSet<PathBuf>,
}

impl<W: io::Write> Files<W> {
    /// busybox, the tools, the objects and init.
    fn system(&mut self) -> io::Result<()> {
        for folder in FOLDERS {
            self.archive.folder(Path::new(folder))?;
        }
        let busybox = found("busybox")?;
        self.with_libraries(&busybox, Path::new("/bin/busybox"))?;
        for tool in TOOLS {
            if let Some(file) = host::find(tool) {
                self.with_libraries(&file, &Path::new("/bin").join(tool))?;
            }
        }
        // busybox's own shell would prefer its applets to the tools.
        self.archive.link(Path::new("/bin/sh"), "dash")?;
        for (name, target) in [("modprobe", "/bin/busybox"), ("ip", "/bin/ip"), ("tc", "/bin/tc")] {
            self.archive.link(&Path::new("/sbin").join(name), target)?;
        }
        self.archive.link(Path::new("/var/run"), "/run")?;
        let objects = Path::new(OBJECTS);
        if objects.exists() {
            self.archive.tree(objects, objects)?;
        }
        let users = "root:x:0:0:root:/root:/bin/sh\n";
        self.archive.file(Path::new("/etc/passwd"), users.as_bytes())?;
        self.archive.file(Path::new("/init"), INIT.as_bytes())
    }

    /// A program to run, as `/t/NAME` without the hash that cargo appends, and under its own path
    /// as a link: tests start programs beside themselves.
    fn program(&mut self, program: &Path) -> io::Result<()> {
        let program = fs::canonicalize(program)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.display())))?;
        let to = in_machine(&program);
        if !self.written.contains(&to) {
            self.with_libraries(&host::stripped(&program), &to)?;
            self.archive.link(&program, &to.to_string_lossy())?;
        }
        Ok(())
    }

    fn with_libraries(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.written.insert(to.to_owned()) {
            return Ok(());
        }
        self.archive.file(to, &fs::read(from)?)?;
        for library in host::libraries(from) {
            if self.written.insert(library.clone()) {
                self.archive.file(&library, &fs::read(&library)?)?;
            }
        }
        Ok(())
    }
}

fn found(command: &str) -> io::Result<PathBuf> {
    host::find(command).ok_or_else(|| io::Error::other(format!("no {command} here")))
}

/// Where a program of this host is in the machine.
pub(super) fn in_machine(program: &Path) -> PathBuf {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let plain = match name.rsplit_once('-') {
        Some((plain, hash)) if is_hash(hash) => plain,
        _ => &name,
    };
    Path::new("/t").join(plain)
}

/// Whether this is what cargo appends to the names of its files.
fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lose_their_hash_and_nothing_else() {
        for (from, to) in [
            ("/x/deps/engines-0123456789abcdef", "/t/engines"),
            ("/x/debug/hoist", "/t/hoist"),
            ("/usr/bin/x86_64-linux-gnu-ld", "/t/x86_64-linux-gnu-ld"),
        ] {
            assert_eq!(in_machine(Path::new(from)), Path::new(to));
        }
    }
}
