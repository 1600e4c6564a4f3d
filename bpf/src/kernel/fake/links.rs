//! Links and netlink attachments of the fake.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::Event;
use super::books::{Books, Link, Place, Program};
use super::errno::{EBADF, EEXIST, EINVAL, ENOLINK, EPERM};
use super::slots::Change;
use crate::kernel::{Expect, KernelError, LinkInfo, ObjectKind, XdpMode};

/// `BPF_LINK_TYPE_XDP`.
const LINK_XDP: u32 = 6;
/// `BPF_LINK_TYPE_TRACING`.
const LINK_TRACING: u32 = 2;
/// `BPF_LINK_TYPE_TCX`.
const LINK_TCX: u32 = 11;
/// `BPF_TCX_INGRESS`.
const TCX_INGRESS: u32 = 46;

pub(super) fn create(
    books: &mut Books,
    program: BorrowedFd<'_>,
    ifindex: u32,
    mode: XdpMode,
) -> Result<OwnedFd, KernelError> {
    const OPERATION: &str = "BPF_LINK_CREATE";
    books.may(OPERATION)?;
    let program = books.behind(program, ObjectKind::Program, OPERATION)?;
    let id = books.next_id();
    let change = Change {
        ifindex,
        program: Some(program),
        link: Some(id),
        mode: Some(mode),
        only_empty: false,
        expected: None,
    };
    books.change(OPERATION, change)?;
    books.links.insert(id, Link { program, ifindex, place: Place::Xdp(mode) });
    books.hand_out((ObjectKind::Link, id))
}

pub(super) fn extend(
    books: &mut Books,
    program: BorrowedFd<'_>,
    target: u32,
    function: u32,
) -> Result<OwnedFd, KernelError> {
    const OPERATION: &str = "BPF_LINK_CREATE";
    books.may(OPERATION)?;
    let program = books.behind(program, ObjectKind::Program, OPERATION)?;
    let target = books.program(target)?.info.id;
    let id = books.next_id();
    let place = Place::Function(target, function);
    books.links.insert(id, Link { program, ifindex: 0, place });
    books.hand_out((ObjectKind::Link, id))
}

pub(super) fn update(
    books: &mut Books,
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    const OPERATION: &str = "BPF_LINK_UPDATE";
    books.may(OPERATION)?;
    let id = books.behind(link, ObjectKind::Link, OPERATION)?;
    let new = books.behind(new, ObjectKind::Program, OPERATION)?;
    let old = books.behind(old, ObjectKind::Program, OPERATION)?;
    swap(books, id, new, old)
        .map_err(|errno| KernelError::new(OPERATION, format!("link {id}"), errno))
}

pub(super) fn info(books: &mut Books, link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
    const OPERATION: &str = "BPF_OBJ_GET_INFO_BY_FD";
    books.may(OPERATION)?;
    let id = books.behind(link, ObjectKind::Link, OPERATION)?;
    let gone = || KernelError::new(OPERATION, format!("link {id}"), EBADF);
    let link = books.links.get(&id).ok_or_else(gone)?;
    let (program_id, ifindex) = (link.program, link.ifindex);
    let info = LinkInfo { id, program_id, ifindex, ..LinkInfo::default() };
    Ok(match link.place {
        Place::Xdp(_) => LinkInfo { kind: LINK_XDP, ..info },
        Place::Tcx => LinkInfo { kind: LINK_TCX, attach_type: TCX_INGRESS, ..info },
        Place::Function(target_id, target_btf_id) => {
            LinkInfo { kind: LINK_TRACING, target_id, target_btf_id, ..info }
        }
    })
}

pub(super) fn netlink(
    books: &mut Books,
    ifindex: u32,
    program: Option<BorrowedFd<'_>>,
    mode: Option<XdpMode>,
    expect: Expect<'_>,
) -> Result<Option<String>, KernelError> {
    const OPERATION: &str = "RTM_SETLINK";
    books.may(OPERATION)?;
    let id = |fd| books.behind(fd, ObjectKind::Program, OPERATION);
    let (only_empty, expected) = match expect {
        Expect::Empty => (true, None),
        Expect::Program(old) => (false, Some(id(old)?)),
        Expect::Anything => (false, None),
    };
    let program = program.map(id).transpose()?;
    let change = Change { ifindex, program, link: None, mode, only_empty, expected };
    books.change(OPERATION, change)?;
    books.collect();
    Ok(None)
}

/// Compare and swap of a link's program.
fn swap(books: &mut Books, id: u32, new: u32, old: u32) -> Result<(), i32> {
    let link = books.links.get_mut(&id).ok_or(EBADF)?;
    if link.ifindex == 0 {
        return Err(ENOLINK);
    }
    if link.program != old {
        return Err(EPERM);
    }
    let (from, to) = (books.programs.get(&old), books.programs.get(&new));
    let alike = |p: &Program| (p.info.kind, p.expected_attach_type);
    if from.map(alike) != to.map(alike) {
        return Err(EINVAL);
    }
    if let Place::Tcx = link.place
        && new != old
        && books.interfaces.get(&link.ifindex).is_some_and(|i| i.given.tcx_ingress.contains(&new))
    {
        return Err(EEXIST);
    }
    link.program = new;
    let (ifindex, place) = (link.ifindex, link.place);
    let interface = books.interfaces.get_mut(&ifindex);
    let event = match place {
        Place::Xdp(mode) => {
            if let Some(slot) = interface.and_then(|i| i.slots.get_mut(&mode)) {
                slot.program = new;
            }
            Event::Attached { ifindex, mode, program: new, link: Some(id) }
        }
        Place::Tcx => {
            let programs = interface.map(|i| &mut i.given.tcx_ingress).into_iter().flatten();
            programs.filter(|id| **id == old).for_each(|id| *id = new);
            Event::TcxAttached { ifindex, program: new, link: id }
        }
        // Such a link has no interface, and so was refused above.
        Place::Function(..) => return Err(EINVAL),
    };
    books.journal.push(event);
    Ok(())
}
