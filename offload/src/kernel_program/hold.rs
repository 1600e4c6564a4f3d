//! What keeps a program attached: a link, the interface itself, or a filter of its qdisc.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hoist_bpf::kernel::{Kernel, KernelError, LinkInfo, ObjectKind};

use crate::device::Slot;
use crate::error::{Error, Gap};
use crate::kernel_program::refusal::{ENODEV, ENOENT, ENOLINK, EPERM, Refuser};

mod filter;
mod tcx;
mod xdp;

pub(super) use filter::Filter;

/// What keeps a program attached.
#[derive(Debug)]
pub(super) enum Hold {
    /// A link of our own: closing its last descriptor or pin detaches.
    Link(OwnedFd),
    /// A link that somebody else made and may still hold: only detaching it empties the slot.
    Adopted(OwnedFd),
    /// The interface: the program replaced one that was attached over netlink.
    Netlink,
    /// A filter of the interface's clsact qdisc.
    Filter(Filter),
}

/// A program and its kernel id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identified<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) id: u32,
}

impl<'a> Identified<'a> {
    pub(super) fn of(kernel: &dyn Kernel, fd: BorrowedFd<'a>) -> Result<Self, KernelError> {
        Ok(Self { fd, id: kernel.program_info(fd)?.id })
    }
}

impl Hold {
    /// Attaches `program`: to an empty slot, or in place of the program `replace` and no other;
    /// `made_qdisc` says that hoist added the qdisc for that one.
    pub(super) fn take(
        kernel: &dyn Kernel,
        program: BorrowedFd<'_>,
        refuser: &Refuser<'_>,
        replace: Option<u32>,
        made_qdisc: bool,
    ) -> Result<Self, Error> {
        match refuser.slot {
            Slot::Hw | Slot::Native | Slot::Generic => xdp::take(kernel, program, refuser, replace),
            Slot::TcxIngress => tcx::take(kernel, program, refuser, replace),
            Slot::ClsactIngress | Slot::HwClsact => {
                Filter::take(kernel, program, refuser, replace, made_qdisc).map(Self::Filter)
            }
            Slot::TcxEgress | Slot::ClsactEgress => Err(Error::Input {
                what: format!("{} is not where XDP programs run", refuser.slot.hook()),
                hint: None,
            }),
        }
    }

    /// Swaps the program, if `old` is what runs.
    pub(super) fn swap(
        &mut self,
        kernel: &dyn Kernel,
        new: BorrowedFd<'_>,
        old: Identified<'_>,
        refuser: &Refuser<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Link(link) | Self::Adopted(link) => {
                update(kernel, link.as_fd(), new, old, refuser)
            }
            Self::Netlink => xdp::swap(kernel, new, old.fd, refuser),
            Self::Filter(filter) => filter.swap(kernel, new, old.id, refuser),
        }
    }

    /// Empties the slot. A device that is gone took the program with it.
    pub(super) fn detach(
        &self,
        kernel: &dyn Kernel,
        refuser: &Refuser<'_>,
        program: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        let done = match self {
            Self::Link(link) | Self::Adopted(link) => kernel.link_detach(link.as_fd()),
            Self::Netlink => xdp::detach(kernel, refuser, program),
            Self::Filter(filter) => filter.detach(kernel, refuser.device.ifindex, program),
        };
        match done {
            Err(error) if matches!(error.errno, ENODEV | ENOLINK) => Ok(()),
            done => done,
        }
    }

    /// Leaves what it holds to the interface or to a pin.
    pub(super) fn let_stay(&mut self, kernel: &dyn Kernel) -> Result<(), KernelError> {
        match self {
            Self::Filter(filter) => filter.let_stay(kernel),
            Self::Link(_) | Self::Adopted(_) | Self::Netlink => Ok(()),
        }
    }

    /// The link, where there is one.
    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Link(link) | Self::Adopted(link) => Some(link.as_fd()),
            Self::Netlink | Self::Filter(_) => None,
        }
    }

    /// Whether hoist added the qdisc, and so is to remove it.
    pub(super) const fn made_qdisc(&self) -> bool {
        matches!(self, Self::Filter(filter) if filter.made_qdisc)
    }
}

/// Swaps a link's program.
fn update(
    kernel: &dyn Kernel,
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: Identified<'_>,
    refuser: &Refuser<'_>,
) -> Result<(), Error> {
    kernel.link_update(link, new, old.fd).map_err(|error| {
        // EPERM is how BPF_LINK_UPDATE says that another program runs by now.
        if error.errno == EPERM {
            let now = kernel.link_info(link).ok().map(|info| info.program_id);
            if now != Some(old.id) {
                return refuser.refused(mismatch(refuser, old.id, now.as_slice()));
            }
        }
        refuser.attach(error)
    })
}

/// The program that is to be replaced is not there.
fn mismatch(refuser: &Refuser<'_>, wanted: u32, there: &[u32]) -> Gap {
    let (device, slot) = (&refuser.device.name, refuser.slot.name());
    let ids = || there.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let (holds, remedy) = match there {
        [] => ("is empty".to_owned(), "attach without --replace".to_owned()),
        [id] => {
            (format!("holds program {id}"), format!("to replace that one, say so: --replace {id}"))
        }
        _ => (
            format!("holds programs {}", ids()),
            "to replace one of them, say so: --replace ID".to_owned(),
        ),
    };
    Gap::new(
        "replace-mismatch",
        format!(
            "program {wanted} is not there to be replaced: the {slot} slot of {device} {holds}"
        ),
    )
    .remedy(remedy)
}

enum Found {
    None,
    One(OwnedFd),
    Several,
}

/// The link that runs `program` on the interface; its type and attach type as in [`LinkInfo`].
fn link_of(
    kernel: &dyn Kernel,
    ifindex: u32,
    kind: (u32, u32),
    program: u32,
) -> Result<Found, KernelError> {
    let mut found = Found::None;
    for id in kernel.ids(ObjectKind::Link)? {
        let Some(link) = kernel.open(ObjectKind::Link, id)? else { continue };
        let info = match kernel.link_info(link.as_fd()) {
            Ok(info) => info,
            Err(error) if error.errno == ENOENT => continue,
            Err(error) => return Err(error),
        };
        let LinkInfo { program_id, ifindex: on, .. } = info;
        if ((info.kind, info.attach_type), program_id, on) != (kind, program, ifindex) {
            continue;
        }
        found = match found {
            Found::None => Found::One(link),
            Found::One(_) | Found::Several => return Ok(Found::Several),
        };
    }
    Ok(found)
}

/// More than one link could be the one that is meant.
fn ambiguous(refuser: &Refuser<'_>, program: u32, remedy: String) -> Error {
    let what = format!(
        "several links run program {program} on an interface with index {}, and the kernel does not \
         say in which network namespace each of them is",
        refuser.device.ifindex
    );
    refuser.refused(Gap::new("link-ambiguous", what).remedy(remedy))
}
