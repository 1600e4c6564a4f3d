//! A kernel of Debian's: the image that boots, and those of its modules that tests need.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{self, Package};
use super::cache::Cache;
use super::cpio::Archive;
use super::{VmError, host};

/// Modules that go in, with all they need. What is not there, or built in, is passed over.
const MODULES: [&str; 41] = [
    "8021q",
    "act_gact",
    "act_mirred",
    "af_packet",
    "bonding",
    "bridge",
    "cls_bpf",
    "cls_flower",
    "cls_matchall",
    "cls_u32",
    "dummy",
    "e1000e",
    "failover",
    "ifb",
    "ip6_tunnel",
    "ip_gre",
    "ipip",
    "ipv6",
    "macvlan",
    "macvtap",
    "net_failover",
    "netkit",
    "nf_conntrack",
    "nf_tables",
    "psample",
    "sch_clsact",
    "sch_fq",
    "sch_ingress",
    "sch_prio",
    "sit",
    "tap",
    "team",
    "team_mode_roundrobin",
    "tun",
    "veth",
    "virtio_net",
    "virtio_pci",
    "vmxnet3",
    "vrf",
    "vxlan",
    "wireguard",
];

/// Bump when what is made of a package changes.
const FORM: &str = "1";

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Debian's package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// What `uname -r` says in it.
    pub release: String,
    folder: PathBuf,
}

impl Kernel {
    /// The newest of a series that Debian offers; without package lists or network, the one used
    /// last.
    pub(super) fn newest(cache: &Cache, series: &str) -> Result<Self, VmError> {
        let kind = format!("kernel-{series}");
        let entry = apt::newest_image(series).and_then(|package| {
            let key = format!("{}-{FORM}", package.key());
            cache.entry(&kind, &key, |folder| make(&package, folder))
        });
        let folder = apt::or_cached(entry, || cache.latest(&kind))?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|e| VmError::io("read", &path, &e))
        };
        let about = read("about")?;
        let mut lines = about.lines().map(str::to_owned);
        let mut line = || lines.next().unwrap_or_default();
        Ok(Self { package: line(), version: line(), release: line(), folder })
    }

    /// The image.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// An archive of its modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("modules.cpio")
    }
}

fn make(package: &Package, folder: &Path) -> Result<(), VmError> {
    let tree = folder.join("tree");
    apt::unpack(package, &tree)?;
    if !tree.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", tree.join("lib"))
            .map_err(|e| VmError::io("link", &tree, &e))?;
    }
    let release = release(&tree)?;
    let image = tree.join(format!("boot/vmlinuz-{release}"));
    fs::copy(&image, folder.join("vmlinuz")).map_err(|e| VmError::io("copy", &image, &e))?;
    let modules = closure(&tree, &release)?;
    archive(&tree, &release, &modules, &folder.join("modules.cpio"))?;
    let about = format!("{}\n{}\n{release}\n", package.name, package.version);
    let path = folder.join("about");
    fs::write(&path, about).map_err(|e| VmError::io("write", &path, &e))?;
    fs::remove_dir_all(&tree).map_err(|e| VmError::io("remove", &tree, &e))
}

/// `uname -r` of the kernel in an unpacked package.
fn release(tree: &Path) -> Result<String, VmError> {
    let boot = tree.join("boot");
    let entries = fs::read_dir(&boot).map_err(|e| VmError::io("read", &boot, &e))?;
    let names =
        entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned());
    let mut releases = names.filter_map(|n| n.strip_prefix("vmlinuz-").map(str::to_owned));
    releases.next().ok_or_else(|| VmError::failed("find", boot.display(), "no vmlinuz-* in it"))
}

/// Files of the modules that are wanted and of those they need.
fn closure(tree: &Path, release: &str) -> Result<Vec<PathBuf>, VmError> {
    host::output(Command::new("depmod").arg("-b").arg(tree).arg(release))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for module in MODULES {
        let mut command = Command::new("modprobe");
        command.arg("-d").arg(tree).args(["-S", release, "--show-depends", module]);
        // Not every kernel has every module.
        let Ok(text) = host::output(&mut command) else { continue };
        // The file may be followed by options for the module.
        let paths = text.lines().filter_map(|l| l.strip_prefix("insmod ")?.split(' ').next());
        files.extend(paths.map(PathBuf::from));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Writes the modules, uncompressed, with what modprobe in the machine reads.
fn archive(tree: &Path, release: &str, files: &[PathBuf], to: &Path) -> Result<(), VmError> {
    let small = tree.join("small");
    let folder = small.join("lib/modules").join(release);
    fs::create_dir_all(&folder).map_err(|e| VmError::io("create", &folder, &e))?;
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        let from = tree.join("lib/modules").join(release).join(list);
        fs::copy(&from, folder.join(list)).map_err(|e| VmError::io("copy", &from, &e))?;
    }
    for file in files {
        copy_module(file, &folder)?;
    }
    host::output(Command::new("depmod").arg("-b").arg(&small).arg(release))?;
    let write = || {
        let mut archive = Archive::new(BufWriter::new(fs::File::create(to)?));
        archive.tree(&folder, &Path::new("/lib/modules").join(release))?;
        archive.finish()?.flush()
    };
    write().map_err(|e| VmError::io("write", to, &e))
}

fn copy_module(file: &Path, folder: &Path) -> Result<(), VmError> {
    let name = file.file_name().map(Path::new).unwrap_or(file);
    if name.extension().is_some_and(|e| e == "xz") {
        let copy = folder.join(name);
        fs::copy(file, &copy).map_err(|e| VmError::io("copy", file, &e))?;
        host::output(Command::new("xz").arg("-d").arg(&copy))?;
        return Ok(());
    }
    fs::copy(file, folder.join(name)).map_err(|e| VmError::io("copy", file, &e))?;
    Ok(())
}
