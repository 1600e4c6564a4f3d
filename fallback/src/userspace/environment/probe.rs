//! Reading memory that may not be there. Of all the kernel's memory a program here can reach only its
//! own.

use super::argument::{EFAULT, ERANGE};
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// What the kernel says of an address where nothing is: it does not even try those of user space
/// (`copy_from_kernel_nofault_allowed`).
const fn nothing_at(address: u64) -> Errno {
    if address < 1 << 48 { ERANGE } else { EFAULT }
}

/// `bpf_probe_read_kernel`.
pub(super) fn read_kernel(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[1] == 0 {
        return Ok(0);
    }
    run.bytes_mut(r[0], r[1])?;
    let copy = run.bytes(r[2], r[1]).map(<[u8]>::to_vec);
    let to = run.bytes_mut(r[0], r[1])?;
    match copy {
        Ok(copy) => {
            to.copy_from_slice(&copy);
            Ok(0)
        }
        Err(_) => {
            to.fill(0);
            Ok(nothing_at(r[2]).as_return())
        }
    }
}

/// `bpf_probe_read_kernel_str`: the length with the NUL, which is there even where the text was cut.
pub(super) fn read_kernel_str(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[1] == 0 {
        return Ok(0);
    }
    run.bytes_mut(r[0], r[1])?;
    let text = super::text::string(run, r[2], r[1] as usize - 1);
    let to = run.bytes_mut(r[0], r[1])?;
    match text {
        Some(text) => {
            to[..text.len()].copy_from_slice(&text);
            to[text.len()] = 0;
            Ok(text.len() as u64 + 1)
        }
        None => {
            to.fill(0);
            Ok(nothing_at(r[2]).as_return())
        }
    }
}

/// `bpf_probe_read_user` and `bpf_probe_read_user_str`: no process is behind a frame.
pub(super) fn read_user(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[1] == 0 {
        return Ok(0);
    }
    run.bytes_mut(r[0], r[1])?.fill(0);
    Ok(EFAULT.as_return())
}
