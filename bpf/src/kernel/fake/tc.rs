//! TC ingress of the fake's interfaces: tcx links, clsact and its filters, watchers, locks.

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::books::{Books, Link, Place};
use super::errno::{EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, EPIPE, ERANGE};
use super::{Event, FakeInterface};
use crate::kernel::tc::{EVERY_PROTOCOL, IN_HW, NOT_IN_HW, OFFLOADED_AT_TCX, SKIP_HW, SKIP_SW};
use crate::kernel::{Filter, FilterKey, KernelError, ObjectKind, XdpMode};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const SCHED_CLS: u32 = 3;
/// `BPF_MPROG_MAX`.
const MOST: usize = 64;
const SOFTWARE_ONLY: u32 = SKIP_HW | NOT_IN_HW;
const HARDWARE_ONLY: u32 = SKIP_SW | IN_HW;

const ADD: &str = "RTM_NEWTFILTER";
const REMOVE: &str = "RTM_DELTFILTER";

/// A process that waits for the other end of a socket pair to close.
#[derive(Debug)]
pub(super) struct Watcher {
    kept: UnixStream,
    ifindex: u32,
    key: FilterKey,
    program: u32,
    clsact_too: bool,
}

/// A lock somebody holds.
#[derive(Debug)]
pub(super) struct Lock {
    name: String,
    kept: UnixStream,
}

/// What has become of the other end of a socket pair.
enum Owner {
    Alive,
    Gone,
    /// It wrote a byte first.
    LetGo,
}

fn owner(mut kept: &UnixStream) -> Owner {
    match kept.read(&mut [0]) {
        Ok(0) => Owner::Gone,
        Ok(_) => Owner::LetGo,
        Err(_) => Owner::Alive,
    }
}

fn pair() -> Result<(UnixStream, OwnedFd), KernelError> {
    let refused = |error| KernelError::io("socketpair", "descriptor", &error);
    let (kept, given) = UnixStream::pair().map_err(refused)?;
    kept.set_nonblocking(true).map_err(refused)?;
    Ok((kept, given.into()))
}

pub(super) fn link(
    books: &mut Books,
    program: BorrowedFd<'_>,
    ifindex: u32,
) -> Result<OwnedFd, KernelError> {
    const OPERATION: &str = "BPF_LINK_CREATE";
    books.may(OPERATION)?;
    let program = books.behind(program, ObjectKind::Program, OPERATION)?;
    let refused = |errno| {
        KernelError::new(OPERATION, format!("tcx ingress on {}", books.name(ifindex)), errno)
    };
    if !books.tcx || books.program(program)?.info.kind != SCHED_CLS {
        return Err(refused(EINVAL));
    }
    if books.program(program)?.offloaded() {
        return Err(refused(EINVAL).saying(OFFLOADED_AT_TCX));
    }
    match books.interfaces.get(&ifindex) {
        None => return Err(refused(ENODEV)),
        Some(i) if i.given.tcx_ingress.contains(&program) => return Err(refused(EEXIST)),
        Some(i) if i.given.tcx_ingress.len() >= MOST => return Err(refused(ERANGE)),
        Some(_) => {}
    }
    let id = books.next_id();
    if let Some(interface) = books.interfaces.get_mut(&ifindex) {
        interface.given.tcx_ingress.insert(0, program);
    }
    books.journal.push(Event::TcxAttached { ifindex, program, link: id });
    books.links.insert(id, Link { program, ifindex, place: Place::Tcx });
    books.hand_out((ObjectKind::Link, id))
}

pub(super) fn add_clsact(books: &mut Books, ifindex: u32) -> Result<bool, KernelError> {
    books.may("RTM_NEWQDISC")?;
    let given = given(books, "RTM_NEWQDISC", "clsact", ifindex)?;
    if given.clsact {
        return Ok(false);
    }
    given.clsact = true;
    books.journal.push(Event::ClsactAdded { ifindex });
    Ok(true)
}

pub(super) fn remove_clsact(books: &mut Books, ifindex: u32) -> Result<bool, KernelError> {
    books.may("RTM_DELQDISC")?;
    Ok(books.drop_clsact(ifindex))
}

pub(super) fn filters(books: &mut Books, ifindex: u32) -> Result<Vec<Filter>, KernelError> {
    books.may("RTM_GETTFILTER")?;
    Ok(given(books, "RTM_GETTFILTER", "filters", ifindex)?.filters.clone())
}

pub(super) fn add(
    books: &mut Books,
    ifindex: u32,
    key: FilterKey,
    program: BorrowedFd<'_>,
    name: &str,
) -> Result<(), KernelError> {
    books.may(ADD)?;
    proper(books, ADD, ifindex, key)?;
    let id = books.behind(program, ObjectKind::Program, ADD)?;
    let (kind, tag) = facts(books, id)?;
    let object = key.to_string();
    let refused = |text: &str, errno, on: &str| {
        KernelError::new(ADD, format!("{key} on {on}"), errno).saying(text)
    };
    let given = given(books, ADD, &object, ifindex)?;
    let on = given.name.clone();
    if !given.clsact {
        return Err(refused("Parent Qdisc doesn't exists", EINVAL, &on));
    }
    let neighbours = || given.filters.iter().filter(|f| f.key.priority == key.priority);
    if neighbours().any(|f| f.protocol != EVERY_PROTOCOL) {
        let text = "Protocol mismatch for filter with specified priority";
        return Err(refused(text, EINVAL, &on));
    }
    if neighbours().any(|f| f.kind != "bpf") {
        let text = "Specified filter kind does not match existing one";
        return Err(refused(text, EINVAL, &on));
    }
    if neighbours().any(|f| f.key.handle == key.handle) {
        return Err(refused("Filter already exists", EEXIST, &on));
    }
    if kind != SCHED_CLS {
        return Err(KernelError::new(ADD, format!("{key} on {on}"), EINVAL));
    }
    let flags = match books.program(id)?.offloaded() {
        true => {
            books.takes_filter(ifindex, id).map_err(|(errno, text)| {
                let object = format!("{key} on {on}");
                KernelError { message: text, ..KernelError::new(ADD, object, errno) }
            })?;
            HARDWARE_ONLY
        }
        false => SOFTWARE_ONLY,
    };
    let given = self::given(books, ADD, &object, ifindex)?;
    let before = given.filters.partition_point(|f| f.key.priority < key.priority);
    let filter = Filter {
        key,
        kind: "bpf".to_owned(),
        protocol: EVERY_PROTOCOL,
        chain: 0,
        program_id: Some(id),
        name: Some(name.to_owned()),
        tag: Some(tag),
        direct_action: true,
        flags,
    };
    given.filters.insert(before, filter);
    books.journal.push(Event::FilterSet { ifindex, key, program: id });
    Ok(())
}

pub(super) fn replace(
    books: &mut Books,
    ifindex: u32,
    key: FilterKey,
    old: u32,
    program: BorrowedFd<'_>,
    name: &str,
) -> Result<(), KernelError> {
    books.may(ADD)?;
    proper(books, ADD, ifindex, key)?;
    let id = books.behind(program, ObjectKind::Program, ADD)?;
    let (kind, tag) = facts(books, id)?;
    let object = format!("{key} on {}", books.name(ifindex));
    let refused = |errno| KernelError::new(ADD, &*object, errno);
    let offloaded = books.program(id)?.offloaded();
    let filter = books.filter(ifindex, key).ok_or_else(|| refused(ENOENT))?;
    if filter.program_id != Some(old) {
        let now = filter.program_id.unwrap_or_default();
        let text = format!("program {now} runs there, not program {old}");
        return Err(refused(EPERM).saying(text));
    }
    if kind != SCHED_CLS || offloaded != (filter.flags & SKIP_SW != 0) {
        return Err(refused(EINVAL));
    }
    filter.program_id = Some(id);
    filter.name = Some(name.to_owned());
    filter.tag = Some(tag);
    books.journal.push(Event::FilterSet { ifindex, key, program: id });
    books.collect();
    Ok(())
}

pub(super) fn remove(
    books: &mut Books,
    ifindex: u32,
    key: FilterKey,
    program: u32,
) -> Result<bool, KernelError> {
    books.may(REMOVE)?;
    proper(books, REMOVE, ifindex, key)?;
    let removed = books.drop_filter(ifindex, key, program);
    books.collect();
    Ok(removed)
}

pub(super) fn watch(
    books: &mut Books,
    ifindex: u32,
    key: FilterKey,
    program: u32,
    clsact_too: bool,
) -> Result<OwnedFd, KernelError> {
    books.may("fork")?;
    proper(books, "fork", ifindex, key)?;
    let (kept, given) = pair()?;
    books.watchers.push(Watcher { kept, ifindex, key, program, clsact_too });
    Ok(given)
}

pub(super) fn unwatch(books: &mut Books, watcher: OwnedFd) -> Result<(), KernelError> {
    books.may("send")?;
    let refused = |_| KernelError::new("send", "watcher of a filter", EPIPE);
    std::io::Write::write_all(&mut UnixStream::from(watcher), &[1]).map_err(refused)?;
    books.collect();
    Ok(())
}

/// The lock, unless somebody holds it.
pub(super) fn lock(books: &mut Books, name: &str) -> Result<Option<OwnedFd>, KernelError> {
    books.may("flock")?;
    if books.locks.iter().any(|lock| lock.name == name) {
        return Ok(None);
    }
    let (kept, given) = pair()?;
    books.locks.push(Lock { name: name.to_owned(), kept });
    Ok(Some(given))
}

impl Books {
    /// Releases the locks and does the watchers' work whose owners are gone.
    pub(super) fn collect_owners(&mut self) {
        self.locks.retain(|lock| matches!(owner(&lock.kept), Owner::Alive));
        let mut orphaned = Vec::new();
        self.watchers.retain(|watcher| match owner(&watcher.kept) {
            Owner::Alive => true,
            Owner::LetGo => false,
            Owner::Gone => {
                let Watcher { ifindex, key, program, clsact_too, .. } = *watcher;
                orphaned.push((ifindex, key, program, clsact_too));
                false
            }
        });
        for (ifindex, key, program, clsact_too) in orphaned {
            if self.drop_filter(ifindex, key, program) && clsact_too {
                self.drop_clsact(ifindex);
            }
        }
    }

    /// What the core and the driver of a NIC say to a classifier for it (`nsim_bpf_setup_tc_block_cb`).
    fn takes_filter(&self, ifindex: u32, program: u32) -> Result<(), (i32, Option<String>)> {
        let refused = |errno, text: &str| Err((errno, Some(text.to_owned())));
        let Ok(interface) = self.interface(ifindex) else { return Err((ENODEV, None)) };
        let Some(card) = &interface.given.card else { return Err((EOPNOTSUPP, None)) };
        if interface.given.features.get("hw-tc-offload").is_none_or(|(on, _)| !on) {
            return refused(EOPNOTSUPP, "TC offload is disabled on net device");
        }
        if let Some((errno, words)) = &card.refuses_filters {
            return Err((*errno, Some(words.clone())));
        }
        let bound_to = self.programs.get(&program).map_or(0, |program| program.info.ifindex);
        if !self.same_card(bound_to, ifindex) {
            return refused(EINVAL, "Program is bound to a different device");
        }
        let offloaded = interface.given.filters.iter().any(|filter| filter.flags & SKIP_SW != 0);
        if offloaded || interface.slots.contains_key(&XdpMode::Hardware) {
            return refused(EBUSY, "netdevsim: driver and netdev offload states mismatch");
        }
        Ok(())
    }

    fn filter(&mut self, ifindex: u32, key: FilterKey) -> Option<&mut Filter> {
        let filters = &mut self.interfaces.get_mut(&ifindex)?.given.filters;
        filters.iter_mut().find(|f| f.key == key && f.kind == "bpf" && f.chain == 0)
    }

    /// Removes a filter that runs this program; `false` when it runs another.
    fn drop_filter(&mut self, ifindex: u32, key: FilterKey, program: u32) -> bool {
        match self.filter(ifindex, key) {
            None => return true,
            Some(filter) if filter.program_id != Some(program) => return false,
            Some(_) => {}
        }
        if let Some(interface) = self.interfaces.get_mut(&ifindex) {
            interface.given.filters.retain(|f| f.key != key || f.program_id != Some(program));
        }
        self.journal.push(Event::FilterRemoved { ifindex, key, program });
        true
    }

    fn drop_clsact(&mut self, ifindex: u32) -> bool {
        let Some(interface) = self.interfaces.get_mut(&ifindex) else { return true };
        if !interface.given.filters.is_empty() {
            return false;
        }
        if std::mem::take(&mut interface.given.clsact) {
            self.journal.push(Event::ClsactRemoved { ifindex });
        }
        true
    }

    /// Takes a link's program off tcx.
    pub(super) fn release_tcx(&mut self, ifindex: u32, program: u32) {
        if let Some(interface) = self.interfaces.get_mut(&ifindex) {
            interface.given.tcx_ingress.retain(|id| *id != program);
            self.journal.push(Event::TcxDetached { ifindex, program });
        }
    }
}

fn facts(books: &Books, program: u32) -> Result<(u32, String), KernelError> {
    let info = &books.program(program)?.info;
    Ok((info.kind, info.tag.clone()))
}

fn given<'a>(
    books: &'a mut Books,
    operation: &str,
    what: &str,
    ifindex: u32,
) -> Result<&'a mut FakeInterface, KernelError> {
    let gone = || KernelError::new(operation, format!("{what} on interface {ifindex}"), ENODEV);
    books.interfaces.get_mut(&ifindex).map(|i| &mut i.given).ok_or_else(gone)
}

fn proper(books: &Books, operation: &str, ifindex: u32, key: FilterKey) -> Result<(), KernelError> {
    if key.priority != 0 && key.handle != 0 {
        return Ok(());
    }
    let object = format!("{key} on {}", books.name(ifindex));
    let text = "neither priority nor handle may be 0";
    Err(KernelError::new(operation, object, EINVAL).saying(text))
}
