//! Arguments, read as the kernel's prototypes declare them.

use hoist_bpf::module::MapId;

use crate::userspace::maps::{Denied, Errno, Failure};
use crate::userspace::vm::Running;
use crate::userspace::vm::address::{CONTEXT, handled_map};
use crate::userspace::vm::fault::FaultKind;

/// `EACCES`: not allowed.
pub(super) const EACCES: Errno = Errno(13);
/// `EFAULT`: no memory there.
pub(super) const EFAULT: Errno = Errno(14);
/// `ERANGE`: a number beyond its type.
pub(super) const ERANGE: Errno = Errno(34);
/// `EAFNOSUPPORT`: not a family that is known.
pub(super) const EAFNOSUPPORT: Errno = Errno(97);

/// An argument that the verifier would have refused.
pub(super) fn wrong(helper: &'static str, argument: u8, what: impl Into<String>) -> FaultKind {
    FaultKind::BadHelperArgument { helper, argument, what: what.into() }
}

/// A map that the helper cannot be called with (`check_map_func_compatibility`).
pub(super) fn refused(helper: &'static str, denied: Denied) -> FaultKind {
    wrong(helper, 1, denied.to_string())
}

/// What a change of a map returns to the program, or the fault.
pub(super) fn changed(helper: &'static str, result: Result<(), Failure>) -> Result<u64, FaultKind> {
    match result {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(errno.as_return()),
        Err(Failure::Denied(denied)) => Err(refused(helper, denied)),
    }
}

/// `ARG_PTR_TO_CTX`.
pub(super) fn context(helper: &'static str, argument: u8, value: u64) -> Result<(), FaultKind> {
    if value == CONTEXT { Ok(()) } else { Err(wrong(helper, argument, "not the context")) }
}

/// `ARG_CONST_MAP_PTR`: a map of the module.
pub(super) fn map(
    run: &Running<'_>,
    helper: &'static str,
    argument: u8,
    value: u64,
) -> Result<MapId, FaultKind> {
    handled_map(value)
        .filter(|map| (map.0 as usize) < run.module.maps.len())
        .ok_or_else(|| wrong(helper, argument, "not a map"))
}

/// `ARG_PTR_TO_MEM` with `ARG_CONST_SIZE`: the size must not be zero.
pub(super) fn sized(helper: &'static str, argument: u8, size: u64) -> Result<u64, FaultKind> {
    match size {
        0 => Err(wrong(helper, argument, "a size of zero")),
        size => Ok(size),
    }
}

/// A copy of `N` bytes of the program's memory.
pub(super) fn array<const N: usize>(
    run: &mut Running<'_>,
    address: u64,
) -> Result<[u8; N], FaultKind> {
    let mut copy = [0; N];
    copy.copy_from_slice(run.bytes(address, N as u64)?);
    Ok(copy)
}
