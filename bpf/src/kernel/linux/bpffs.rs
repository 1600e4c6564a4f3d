//! A bpffs for pins that does not depend on how hoist was started.
//!
//! `ip netns exec` gives its command a mount namespace of its own with a fresh `/sys`, so that
//! `/sys/fs/bpf` is empty there and anything mounted dies with the command. Pins therefore go to a
//! bpffs of the *outer* mount namespace (that of process 1, or where that is out of sight that of
//! the oldest ancestor in sight), which is made visible here at [`OURS`] if it is not already.
//! See docs/decisions/0003-where-pins-live.md.
#![expect(unsafe_code, reason = "unshare(2) concerns all threads of a process")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::kernel::KernelError;

/// Where system managers mount it.
const USUAL: &str = "/sys/fs/bpf";
/// Where hoist mounts it when nobody did.
const OURS: &str = "/run/hoist/bpffs";
const LOCK: &str = "/run/hoist/bpffs.lock";
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// A directory `sub` on a bpffs, created if need be.
pub(super) fn directory(sub: &str) -> Result<PathBuf, KernelError> {
    let root = match outer() {
        None => establish(sub)?,
        Some(namespace) => shared(&namespace, sub)?,
    };
    let path = root.join(sub);
    fs::create_dir_all(&path).map_err(|error| KernelError::io("mkdir", &path, &error))?;
    Ok(path)
}

/// The outer mount namespace, unless this process lives there.
fn outer() -> Option<OwnedFd> {
    let own = fs::metadata("/proc/self/ns/mnt").ok()?.ino();
    let visible = lineage().into_iter().find_map(|process| {
        let file = File::open(format!("/proc/{process}/ns/mnt")).ok()?;
        let inode = file.metadata().ok()?.ino();
        Some((file, inode))
    });
    visible.filter(|(_, inode)| *inode != own).map(|(file, _)| file.into())
}

/// Process 1, then the ancestors of this process from the oldest down.
fn lineage() -> Vec<u32> {
    let mut ancestors = Vec::new();
    let mut process = std::os::unix::process::parent_id();
    while process > 1 && !ancestors.contains(&process) {
        ancestors.push(process);
        process = parent(process).unwrap_or(0);
    }
    ancestors.push(1);
    ancestors.reverse();
    ancestors
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Finds or mounts a bpffs in the mount namespace of the calling thread.
fn establish(sub: &str) -> Result<PathBuf, KernelError> {
    if let Some(found) = existing(sub) {
        return Ok(found);
    }
    let help = |error: KernelError| {
        error.saying("no bpffs to pin on; as root: mount -t bpf bpf /sys/fs/bpf")
    };
    make(OURS).map_err(help)?;
    let lock = File::create(LOCK).map_err(|e| help(KernelError::io("open", LOCK, &e)))?;
    lock.lock().map_err(|error| KernelError::io("flock", LOCK, &error))?;
    // Another hoist may have mounted it while this one waited.
    if let Some(found) = existing(sub) {
        return Ok(found);
    }
    mount("bpf", OURS, "bpf", MountFlags::empty(), c"mode=0700")
        .map_err(|errno| help(KernelError::new("mount bpf on", OURS, errno.raw_os_error())))?;
    Ok(OURS.into())
}

/// The bpffs that holds `sub` already, else any.
fn existing(sub: &str) -> Option<PathBuf> {
    let mounted: Vec<_> =
        [USUAL, OURS].map(PathBuf::from).into_iter().filter(|p| is_bpffs(p)).collect();
    let holding = mounted.iter().find(|root| root.join(sub).is_dir());
    holding.or(mounted.first()).cloned()
}

fn is_bpffs(path: &Path) -> bool {
    // The width of `f_type` depends on the architecture; the magic number fits in 32 bits.
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type as u64 & 0xffff_ffff == BPF_FS_MAGIC)
}

fn make(path: &str) -> Result<(), KernelError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(path).map_err(|e| KernelError::io("mkdir", path, &e))
}

/// Makes the bpffs of an outer mount namespace visible in this one.
fn shared(outer: &OwnedFd, sub: &str) -> Result<PathBuf, KernelError> {
    let (tree, device) = std::thread::scope(|scope| {
        let visit = scope.spawn(|| borrow(outer, sub));
        visit
            .join()
            .unwrap_or_else(|_| Err(KernelError::new("setns", "mount namespace", libc::EIO)))
    })?;
    // Mount namespaces are copies: it may be in sight already.
    let same = |path: &&str| {
        let path = Path::new(*path);
        is_bpffs(path) && fs::metadata(path).is_ok_and(|m| m.dev() == device)
    };
    if let Some(path) = [USUAL, OURS].iter().find(|path| same(path)) {
        return Ok(path.into());
    }
    make(OURS)?;
    move_mount(tree.as_fd(), "", CWD, OURS, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| KernelError::new("move_mount", OURS, errno.raw_os_error()))?;
    Ok(OURS.into())
}

/// Runs in a thread of its own, which never comes back from the outer namespace: takes a detached
/// copy of the mount found or made there, and the device number that tells it apart.
fn borrow(outer: &OwnedFd, sub: &str) -> Result<(OwnedFd, u64), KernelError> {
    let refused = |operation, errno: rustix::io::Errno| {
        KernelError::new(operation, "mount namespace", errno.raw_os_error())
    };
    // SAFETY: only the working directory and root are unshared, not the descriptor table; a thread
    // that shares them may not change its mount namespace.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.map_err(|errno| refused("unshare", errno))?;
    move_into_link_name_space(outer.as_fd(), Some(LinkNameSpaceType::Mount)).map_err(|errno| {
        refused("setns", errno).saying("pins go to the bpffs of the outer mount namespace")
    })?;
    let root = establish(sub)?;
    let device = fs::metadata(&root).map_err(|e: io::Error| KernelError::io("stat", &root, &e))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, &root, flags).map_err(|errno| refused("open_tree", errno))?;
    Ok((tree, device.dev()))
}
