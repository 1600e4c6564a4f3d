//! Loading programs and BTF, with the verifier's log kept whole.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::os::fd::OwnedFd;
use std::ptr;

use libbpf_rs::libbpf_sys as sys;

use super::sys::{c_string, descriptor, field_fd, object_name, size32};
use crate::insn::Insn;
use crate::kernel::{KernelError, ProgramSpec};

/// First and last size of the log buffer, in bytes. The last is the largest every kernel takes
/// (`UINT_MAX >> 8` before 5.13).
const LOG_FIRST: usize = 64 << 10;
const LOG_LAST: usize = (16 << 20) - 1;

pub(super) fn program(spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError> {
    // Writing the log slows verification down, so it is asked for only once there is a failure.
    let refused = |errno, log| KernelError {
        log,
        ..KernelError::new("BPF_PROG_LOAD", format!("program {}", spec.name), errno)
    };
    let level = spec.log_level.max(1);
    let mut log = vec![0; spec.log_bytes];
    match load_program(spec, level, &mut log) {
        Ok(fd) => Ok(fd),
        Err(Attempt { errno, .. }) if !log.is_empty() && errno != libc::ENOSPC => {
            Err(refused(errno, text(&log)))
        }
        Err(Attempt { errno, .. }) => {
            let first = log.is_empty().then_some(errno);
            logged(first, |log| load_program(spec, level, log)).map_err(|(e, log)| refused(e, log))
        }
    }
}

pub(super) fn btf(bytes: &[u8]) -> Result<OwnedFd, KernelError> {
    match load_btf(bytes, &mut []) {
        Ok(fd) => Ok(fd),
        Err(Attempt { errno, .. }) => {
            logged(Some(errno), |log| load_btf(bytes, log)).map_err(|(errno, log)| KernelError {
                log,
                ..KernelError::new("BPF_BTF_LOAD", format!("BTF of {} bytes", bytes.len()), errno)
            })
        }
    }
}

/// A failed attempt, and how long the log would have been (0: the kernel does not say).
struct Attempt {
    errno: i32,
    log_true_size: usize,
}

/// Repeats a refused load with a log buffer that grows until the whole log fits. The first refusal's
/// error number is the one reported, since a short buffer changes the later ones; `None` if it came
/// of a short buffer itself.
fn logged(
    first: Option<i32>,
    mut load: impl FnMut(&mut [u8]) -> Result<OwnedFd, Attempt>,
) -> Result<OwnedFd, (i32, Option<String>)> {
    let mut size = LOG_FIRST;
    loop {
        let mut log = vec![0; size];
        let attempt = match load(&mut log) {
            Ok(fd) => return Ok(fd),
            Err(attempt) => attempt,
        };
        if attempt.errno == libc::ENOSPC && size < LOG_LAST {
            size = attempt.log_true_size.max(size * 4).min(LOG_LAST);
            continue;
        }
        return Err((first.unwrap_or(attempt.errno), text(&log)));
    }
}

/// What was written into a log buffer, if anything.
fn text(log: &[u8]) -> Option<String> {
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    (end > 0).then(|| String::from_utf8_lossy(&log[..end]).into_owned())
}

fn load_program(
    spec: &ProgramSpec<'_>,
    log_level: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Attempt> {
    let name = object_name(&spec.name);
    let license = c_string(spec.license.as_bytes());
    let mut options = sys::bpf_prog_load_opts {
        sz: size_of::<sys::bpf_prog_load_opts>() as sys::size_t,
        expected_attach_type: spec.expected_attach_type,
        prog_btf_fd: field_fd(spec.btf),
        prog_flags: spec.flags,
        prog_ifindex: spec.ifindex,
        fd_array: pointer(&spec.fd_array),
        ..Default::default()
    };
    if spec.btf.is_some() {
        options.func_info = pointer(spec.func_info).cast();
        options.func_info_cnt = size32(spec.func_info.len() / 8);
        options.func_info_rec_size = 8;
        options.line_info = pointer(spec.line_info).cast();
        options.line_info_cnt = size32(spec.line_info.len() / 16);
        options.line_info_rec_size = 16;
    }
    if !log.is_empty() {
        options.log_level = log_level;
        options.log_buf = log.as_mut_ptr().cast();
        options.log_size = size32(log.len());
    }
    const { assert!(size_of::<Insn>() == size_of::<sys::bpf_insn>()) };
    // SAFETY: every pointer in the options and arguments is null or points to a live slice whose
    // length is given beside it; `Insn` is `struct bpf_insn` (repr(C), same fields, size asserted).
    let returned = unsafe {
        sys::bpf_prog_load(
            spec.kind,
            name.as_ptr(),
            license.as_ptr(),
            spec.insns.as_ptr().cast(),
            spec.insns.len() as sys::size_t,
            &raw mut options,
        )
    };
    descriptor(returned)
        .map_err(|errno| Attempt { errno, log_true_size: options.log_true_size as usize })
}

fn load_btf(bytes: &[u8], log: &mut [u8]) -> Result<OwnedFd, Attempt> {
    let mut options = sys::bpf_btf_load_opts {
        sz: size_of::<sys::bpf_btf_load_opts>() as sys::size_t,
        ..Default::default()
    };
    if !log.is_empty() {
        options.log_level = 1;
        options.log_buf = log.as_mut_ptr().cast();
        options.log_size = size32(log.len());
    }
    // SAFETY: the data and log pointers come from live slices whose lengths are given beside them.
    let returned = unsafe {
        sys::bpf_btf_load(bytes.as_ptr().cast(), bytes.len() as sys::size_t, &raw mut options)
    };
    descriptor(returned)
        .map_err(|errno| Attempt { errno, log_true_size: options.log_true_size as usize })
}

/// A slice's address, or null for an empty one: the kernel takes a pointer without a count amiss.
fn pointer<T>(slice: &[T]) -> *const T {
    if slice.is_empty() { ptr::null() } else { slice.as_ptr() }
}
