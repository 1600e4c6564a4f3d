//! The XDP hook: one program per mode, held by a link or by the interface.

use std::os::fd::{AsFd, BorrowedFd};

use hoist_bpf::kernel::{Expect, Kernel, KernelError, ObjectKind, XdpMode};

use super::{Found, Hold, Identified, ambiguous, link_of, mismatch, update};
use crate::error::Error;
use crate::kernel_program::refusal::Refuser;

/// `BPF_LINK_TYPE_XDP`, which tells no attach type.
const XDP_LINK: (u32, u32) = (6, 0);

/// The mode of an XDP slot.
fn mode(refuser: &Refuser<'_>) -> XdpMode {
    refuser.slot.mode().unwrap_or(XdpMode::Generic)
}

pub(super) fn take(
    kernel: &dyn Kernel,
    program: BorrowedFd<'_>,
    refuser: &Refuser<'_>,
    replace: Option<u32>,
) -> Result<Hold, Error> {
    let (ifindex, mode) = (refuser.device.ifindex, mode(refuser));
    let Some(old) = replace else {
        return kernel
            .link_xdp(program, ifindex, mode)
            .map(Hold::Link)
            .map_err(|e| refuser.attach(e));
    };
    let there = kernel.query_xdp(ifindex).map_err(|e| refuser.attach(e))?.of(mode);
    if there != Some(old) {
        return Err(refuser.refused(mismatch(refuser, old, there.as_slice())));
    }
    let opened = kernel.open(ObjectKind::Program, old).map_err(|e| refuser.attach(e))?;
    let Some(opened) = opened else {
        return Err(refuser.refused(mismatch(refuser, old, &[])));
    };
    let opened = Identified { fd: opened.as_fd(), id: old };
    match link_of(kernel, ifindex, XDP_LINK, old).map_err(|e| refuser.attach(e))? {
        Found::One(link) => {
            update(kernel, link.as_fd(), program, opened, refuser)?;
            Ok(Hold::Adopted(link))
        }
        Found::None => {
            swap(kernel, program, opened.fd, refuser)?;
            Ok(Hold::Netlink)
        }
        Found::Several => {
            let remedy =
                format!("detach it first: ip link set dev {} xdp off", refuser.device.name);
            Err(ambiguous(refuser, old, remedy))
        }
    }
}

/// Swaps a program that the interface holds.
pub(super) fn swap(
    kernel: &dyn Kernel,
    new: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
    refuser: &Refuser<'_>,
) -> Result<(), Error> {
    kernel
        .netlink_xdp(refuser.device.ifindex, Some(new), Some(mode(refuser)), Expect::Program(old))
        .map(drop)
        .map_err(|e| refuser.attach(e))
}

/// Takes off a program that the interface holds.
pub(super) fn detach(
    kernel: &dyn Kernel,
    refuser: &Refuser<'_>,
    program: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    let expect = Expect::Program(program);
    kernel.netlink_xdp(refuser.device.ifindex, None, Some(mode(refuser)), expect).map(drop)
}
