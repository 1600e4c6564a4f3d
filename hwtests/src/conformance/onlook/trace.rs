//! The tracepoint `xdp:xdp_exception`, of one program, by a tracing instance of our own.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::mount::{fsconfig_create, fsmount, fsopen};

/// A tracing instance; gone when dropped.
#[derive(Debug)]
pub(super) struct Trace {
    instance: PathBuf,
    /// tracefs, mounted nowhere: nobody else sees it, and it goes with this descriptor.
    _tracing: OwnedFd,
}

impl Trace {
    /// Traces exceptions of the program with this id.
    ///
    /// # Errors
    /// Tracing is not there, or not for us.
    pub(super) fn start(program: u32) -> io::Result<Self> {
        let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let tracing = fsmount(&context, flags, MountAttrFlags::empty())?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", tracing.as_raw_fd()));
        let instance = root.join("instances").join(format!("hoist-{}", std::process::id()));
        if !instance.is_dir() {
            fs::create_dir(&instance)?;
        }
        let trace = Self { instance, _tracing: tracing };
        let event = trace.instance.join("events/xdp/xdp_exception");
        fs::write(event.join("filter"), format!("prog_id == {program}"))?;
        fs::write(event.join("enable"), "1")?;
        Ok(trace)
    }

    /// How many there were.
    pub(super) fn events(self) -> io::Result<usize> {
        let text = fs::read_to_string(self.instance.join("trace"))?;
        Ok(text.lines().filter(|line| line.contains("xdp_exception:")).count())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // What stays costs a buffer, and the next trace of this process takes it over.
        let _ = fs::write(self.instance.join("events/xdp/xdp_exception/enable"), "0");
        let _ = fs::remove_dir(&self.instance);
    }
}
