//! NAPI in threads of its own (`/sys/class/net/<interface>/threaded`), and where those threads run.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::kernel::KernelError;

pub(super) fn threaded(interface: &str) -> Result<bool, KernelError> {
    let mut text = String::new();
    let read = open(interface, OFlags::RDONLY).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|error| KernelError::io("read", path(interface), &error))?;
    Ok(text.trim() != "0")
}

pub(super) fn set_threaded(interface: &str, on: bool) -> Result<(), KernelError> {
    let write = open(interface, OFlags::WRONLY)
        .and_then(|mut file| file.write_all(if on { b"1" } else { b"0" }));
    write.map_err(|error| KernelError::io("write", path(interface), &error))
}

pub(super) fn pin(thread: u32, cpus: &[u32]) -> Result<(), KernelError> {
    let words: Vec<String> = cpus.iter().map(u32::to_string).collect();
    let object = format!("thread {thread} to processors {}", words.join(","));
    let refused = |errno: i32| KernelError::new("sched_setaffinity", &*object, errno);
    let id = i32::try_from(thread).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| refused(libc::ESRCH))?;
    let mut set = CpuSet::new();
    for cpu in cpus {
        let cpu = *cpu as usize;
        if cpu >= CpuSet::MAX_CPU {
            return Err(refused(libc::EINVAL));
        }
        set.set(cpu);
    }
    sched_setaffinity(Some(id), &set).map_err(|error| refused(error.raw_os_error()))
}

fn path(interface: &str) -> String {
    format!("/sys/class/net/{interface}/threaded")
}

/// A sysfs shows the interfaces of the network namespace in which it was mounted. So a new one is, by the
/// calling thread, which nobody else sees and which is gone with its descriptor.
fn open(interface: &str, access: OFlags) -> io::Result<File> {
    let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let file = format!("class/net/{interface}/threaded");
    Ok(openat(mount, file, access | OFlags::CLOEXEC, Mode::empty())?.into())
}
