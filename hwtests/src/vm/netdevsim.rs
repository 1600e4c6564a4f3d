//! netdevsim, which Debian's kernels leave out, built from Debian's own source: as it is, and with
//! hoist's simulated card.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt;
use super::cache::Cache;
use super::{Kernel, Netdevsim, VmError, host};

/// Where the driver is in the kernel's source.
const DRIVER: &str = "drivers/net/netdevsim";

/// What hoist adds to make a card of it.
const CARD: [&str; 3] = ["card.c", "card.h", "hooks.patch"];

/// The module for a kernel, from the cache or else built now.
pub(super) fn module(cache: &Cache, kernel: &Kernel, which: Netdevsim) -> Result<PathBuf, VmError> {
    let version = kernel.version.replace([':', '~'], "-");
    let (kind, key) = match which {
        Netdevsim::Stock => ("netdevsim-stock", version.clone()),
        Netdevsim::Card => ("netdevsim-card", format!("{version}-{:016x}", fingerprint()?)),
    };
    let folder = cache.entry(kind, &key, |folder| {
        let source = cache.entry("netdevsim-source", &version, |to| unpack(kernel, to))?;
        build(&source, kernel, which, folder)
    })?;
    Ok(folder.join(which.file()))
}

/// Folder of the simulated card: files of the repository that are in no package, being under the
/// kernel's licence and for tests only.
fn card_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/netdevsim")
}

/// FNV-1a over the card's files.
fn fingerprint() -> Result<u64, VmError> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in CARD {
        let path = card_folder().join(name);
        let bytes = fs::read(&path).map_err(|e| VmError::io("read", &path, &e))?;
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(hash)
}

/// Puts the kernel's headers and the driver's source into `folder`.
fn unpack(kernel: &Kernel, folder: &Path) -> Result<(), VmError> {
    let image = apt::exactly(&kernel.package, &kernel.version)?;
    let headers = apt::exactly(&format!("linux-headers-{}", kernel.release), &image.version)?;
    let tree = folder.join("tree");
    for prefix in ["linux-headers-", "linux-kbuild-"] {
        let name = headers.dependency(prefix).ok_or_else(|| {
            VmError::failed("find", &headers.name, format!("it needs no {prefix}*"))
        })?;
        apt::unpack(&apt::exactly(name, &image.version)?, &tree)?;
    }
    apt::unpack(&headers, &tree)?;
    let mut numbers = kernel.release.split('.');
    let series = [numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()].join(".");
    let name = format!("linux-source-{series}");
    let source = folder.join("source");
    apt::unpack(&apt::exactly(&name, &image.version)?, &source)?;
    let packed = source.join("usr/src").join(format!("{name}.tar.xz"));
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(&packed).arg("-C").arg(folder);
    host::output(tar.args(["--strip-components=1", &format!("{name}/{DRIVER}")]))?;
    fs::remove_dir_all(&source).map_err(|e| VmError::io("remove", &source, &e))
}

/// Compiles the driver and leaves the stripped module in `folder`.
fn build(source: &Path, kernel: &Kernel, which: Netdevsim, folder: &Path) -> Result<(), VmError> {
    let driver = folder.join("driver");
    host::output(Command::new("cp").arg("-r").arg(source.join(DRIVER)).arg(&driver))?;
    if which == Netdevsim::Card {
        for name in &CARD[..2] {
            let from = card_folder().join(name);
            fs::copy(&from, driver.join(name)).map_err(|e| VmError::io("copy", &from, &e))?;
        }
        let patch = card_folder().join(CARD[2]);
        let mut command = Command::new("patch");
        command.args(["-p1", "-F0", "-s", "-d"]).arg(&driver).arg("-i").arg(&patch);
        host::output(&mut command)?;
    }
    let tree = folder.join("tree");
    host::output(Command::new("cp").arg("-r").arg(source.join("tree")).arg(&tree))?;
    let headers = headers(&tree, kernel)?;
    let mut make = Command::new("make");
    // Variables of an outer make, or of cargo's, are not meant for the kernel's.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS").args(["-s", "-j2", "-C"]).arg(&headers);
    make.arg(format!("M={}", driver.display())).args(["CONFIG_NETDEVSIM=m", "modules"]);
    host::output(&mut make)?;
    let module = folder.join(which.file());
    let built = driver.join("netdevsim.ko");
    host::output(Command::new("strip").arg("-g").arg("-o").arg(&module).arg(&built))?;
    for unneeded in [driver, tree] {
        fs::remove_dir_all(&unneeded).map_err(|e| VmError::io("remove", &unneeded, &e))?;
    }
    Ok(())
}

/// The folder to build against. Its makefile names others by absolute paths, as if installed; and
/// without `vmlinux` nobody asks for pahole, whose type information the module does not need.
fn headers(tree: &Path, kernel: &Kernel) -> Result<PathBuf, VmError> {
    let folder = tree.join("usr/src").join(format!("linux-headers-{}", kernel.release));
    for name in ["Makefile", ".kernelvariables"] {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|e| VmError::io("read", &path, &e))?;
        let text = text.replace("/usr/src/", &format!("{}/usr/src/", tree.display()));
        fs::write(&path, text).map_err(|e| VmError::io("write", &path, &e))?;
    }
    let types = folder.join("vmlinux");
    if types.exists() {
        fs::remove_file(&types).map_err(|e| VmError::io("remove", &types, &e))?;
    }
    Ok(folder)
}
