//! tcx ingress: many programs in order, each held by a link.

use std::os::fd::{AsFd, BorrowedFd};

use hoist_bpf::kernel::{Kernel, ObjectKind};

use super::{Found, Hold, Identified, ambiguous, link_of, mismatch, update};
use crate::error::{Error, Gap};
use crate::kernel_program::refusal::Refuser;

/// `BPF_TCX_INGRESS`.
const INGRESS: u32 = 46;
/// `BPF_LINK_TYPE_TCX` at ingress.
const TCX_LINK: (u32, u32) = (11, INGRESS);

/// Attaches before every program that is there, or in the place of the one to be replaced.
pub(super) fn take(
    kernel: &dyn Kernel,
    program: BorrowedFd<'_>,
    refuser: &Refuser<'_>,
    replace: Option<u32>,
) -> Result<Hold, Error> {
    let ifindex = refuser.device.ifindex;
    let Some(old) = replace else {
        return kernel.link_tcx(program, ifindex).map(Hold::Link).map_err(|e| refuser.attach(e));
    };
    let there = kernel.query_tcx(ifindex, INGRESS).map_err(|e| refuser.attach(e))?;
    let opened = match there.contains(&old) {
        true => kernel.open(ObjectKind::Program, old).map_err(|e| refuser.attach(e))?,
        false => None,
    };
    let Some(opened) = opened else {
        return Err(refuser.refused(mismatch(refuser, old, &there)));
    };
    let opened = Identified { fd: opened.as_fd(), id: old };
    match link_of(kernel, ifindex, TCX_LINK, old).map_err(|e| refuser.attach(e))? {
        Found::One(link) => {
            update(kernel, link.as_fd(), program, opened, refuser)?;
            Ok(Hold::Adopted(link))
        }
        Found::None => Err(refuser.refused(
            Gap::new(
                "not-replaceable",
                format!(
                    "no link holds program {old} at tcx ingress of {}: it was attached by \
                     BPF_PROG_ATTACH, and can only be taken off",
                    refuser.device.name
                ),
            )
            .remedy("have whoever attached it take it off, then attach without --replace"),
        )),
        Found::Several => {
            let remedy = "have whoever attached them take one off".to_owned();
            Err(ambiguous(refuser, old, remedy))
        }
    }
}
