//! What keeps a program attached: a link, or the interface itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hoist_bpf::kernel::{Expect, Kernel, KernelError, LinkInfo, ObjectKind, XdpMode};

use crate::error::{Error, Gap};
use crate::xdp::mode;
use crate::xdp::refusal::{ENODEV, ENOENT, ENOLINK, EPERM, Refuser};

/// `BPF_LINK_TYPE_XDP`.
const LINK_TYPE_XDP: u32 = 6;

/// What keeps a program attached.
#[derive(Debug)]
pub(super) enum Hold {
    /// A link of our own: closing its last descriptor or pin detaches.
    Link(OwnedFd),
    /// A link that somebody else made and may still hold: only detaching it empties the slot.
    Adopted(OwnedFd),
    /// The interface: the program replaced one that was attached over netlink.
    Netlink,
}

impl Hold {
    /// Attaches `program`: to an empty slot, or in place of the program `replace` and no other.
    pub(super) fn take(
        kernel: &dyn Kernel,
        program: BorrowedFd<'_>,
        refuser: &Refuser<'_>,
        replace: Option<u32>,
    ) -> Result<Self, Error> {
        let (ifindex, mode) = (refuser.device.ifindex, mode(refuser.kind));
        let Some(old) = replace else {
            return kernel
                .link_xdp(program, ifindex, mode)
                .map(Self::Link)
                .map_err(|e| refuser.attach(e));
        };
        let there = kernel.query_xdp(ifindex).map_err(|e| refuser.attach(e))?.of(mode);
        if there != Some(old) {
            return Err(refuser.refused(mismatch(refuser, old, there)));
        }
        let opened = kernel.open(ObjectKind::Program, old).map_err(|e| refuser.attach(e))?;
        let Some(opened) = opened else {
            return Err(refuser.refused(mismatch(refuser, old, None)));
        };
        match link_of(kernel, ifindex, old).map_err(|e| refuser.attach(e))? {
            Found::One(link) => {
                update(kernel, link.as_fd(), program, opened.as_fd(), refuser, old)?;
                Ok(Self::Adopted(link))
            }
            Found::None => {
                kernel
                    .netlink_xdp(
                        ifindex,
                        Some(program),
                        Some(mode),
                        Expect::Program(opened.as_fd()),
                    )
                    .map_err(|e| refuser.attach(e))?;
                Ok(Self::Netlink)
            }
            Found::Several => Err(refuser.refused(
                Gap::new(
                    "link-ambiguous",
                    format!(
                        "several links run program {old} on an interface with index {ifindex}, and \
                         the kernel does not say in which network namespace each of them is"
                    ),
                )
                .remedy(format!(
                    "detach it first: ip link set dev {} xdp off",
                    refuser.device.name
                )),
            )),
        }
    }

    /// Swaps the program, if `old` is what runs.
    pub(super) fn swap(
        &self,
        kernel: &dyn Kernel,
        new: BorrowedFd<'_>,
        old: (BorrowedFd<'_>, u32),
        refuser: &Refuser<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Link(link) | Self::Adopted(link) => {
                update(kernel, link.as_fd(), new, old.0, refuser, old.1)
            }
            Self::Netlink => kernel
                .netlink_xdp(
                    refuser.device.ifindex,
                    Some(new),
                    Some(mode(refuser.kind)),
                    Expect::Program(old.0),
                )
                .map(drop)
                .map_err(|e| refuser.attach(e)),
        }
    }

    /// Empties the slot. A device that is gone took the program with it.
    pub(super) fn detach(
        &self,
        kernel: &dyn Kernel,
        ifindex: u32,
        mode: XdpMode,
        program: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        let done = match self {
            Self::Link(link) | Self::Adopted(link) => kernel.link_detach(link.as_fd()),
            Self::Netlink => {
                kernel.netlink_xdp(ifindex, None, Some(mode), Expect::Program(program)).map(drop)
            }
        };
        match done {
            Err(error) if matches!(error.errno, ENODEV | ENOLINK) => Ok(()),
            done => done,
        }
    }

    /// The link, where there is one.
    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Link(link) | Self::Adopted(link) => Some(link.as_fd()),
            Self::Netlink => None,
        }
    }
}

fn update(
    kernel: &dyn Kernel,
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
    refuser: &Refuser<'_>,
    old_id: u32,
) -> Result<(), Error> {
    kernel.link_update(link, new, old).map_err(|error| {
        // EPERM is how BPF_LINK_UPDATE says that another program runs by now.
        if error.errno == EPERM {
            let now = kernel.link_info(link).ok().map(|info| info.program_id);
            if now != Some(old_id) {
                return refuser.refused(mismatch(refuser, old_id, now));
            }
        }
        refuser.attach(error)
    })
}

fn mismatch(refuser: &Refuser<'_>, wanted: u32, there: Option<u32>) -> Gap {
    let (device, engine) = (&refuser.device.name, refuser.kind);
    let holds = match there {
        Some(id) => format!("holds program {id}"),
        None => "is empty".to_owned(),
    };
    let remedy = match there {
        Some(id) => format!("to replace that one, say so: --replace {id}"),
        None => "attach without --replace".to_owned(),
    };
    Gap::new(
        "replace-mismatch",
        format!(
            "program {wanted} is not there to be replaced: the {engine} slot of {device} {holds}"
        ),
    )
    .remedy(remedy)
}

enum Found {
    None,
    One(OwnedFd),
    Several,
}

/// The link that runs `program` on the interface.
fn link_of(kernel: &dyn Kernel, ifindex: u32, program: u32) -> Result<Found, KernelError> {
    let mut found = Found::None;
    for id in kernel.ids(ObjectKind::Link)? {
        let Some(link) = kernel.open(ObjectKind::Link, id)? else { continue };
        let info = match kernel.link_info(link.as_fd()) {
            Ok(info) => info,
            Err(error) if error.errno == ENOENT => continue,
            Err(error) => return Err(error),
        };
        let LinkInfo { kind, program_id, ifindex: on, .. } = info;
        if (kind, program_id, on) != (LINK_TYPE_XDP, program, ifindex) {
            continue;
        }
        found = match found {
            Found::None => Found::One(link),
            Found::One(_) | Found::Several => return Ok(Found::Several),
        };
    }
    Ok(found)
}
