//! Pins: names on a bpffs that keep objects alive.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libbpf_rs::libbpf_sys as sys;

use super::sys::{c_string, descriptor, done};
use crate::kernel::KernelError;

pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError> {
    let name = path_name(path);
    // SAFETY: the path is a C string and outlives the call.
    done(unsafe { sys::bpf_obj_pin(object.as_raw_fd(), name.as_ptr()) })
        .map_err(|errno| KernelError::new("BPF_OBJ_PIN", path.display().to_string(), errno))
}

pub(super) fn get(path: &Path) -> Result<Option<OwnedFd>, KernelError> {
    let name = path_name(path);
    // SAFETY: the path is a C string and outlives the call.
    match descriptor(unsafe { sys::bpf_obj_get(name.as_ptr()) }) {
        Ok(fd) => Ok(Some(fd)),
        Err(libc::ENOENT) => Ok(None),
        Err(errno) => Err(KernelError::new("BPF_OBJ_GET", path.display().to_string(), errno)),
    }
}

fn path_name(path: &Path) -> CString {
    c_string(path.as_os_str().as_bytes())
}
