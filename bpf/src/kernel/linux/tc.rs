//! clsact and its filters, with the turns that users of one network namespace take.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{info, lock};
use crate::kernel::netlink::filter::{self, Direction};
use crate::kernel::netlink::route;
use crate::kernel::tc::{EVERY_PROTOCOL, SKIP_HW, SKIP_SW};
use crate::kernel::{Filter, FilterKey, KernelError};

/// Locking this file's inode, which is the network namespace's own, excludes everyone in it, whatever
/// they see of the file system, and leaves nothing behind.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

pub(super) fn add_clsact(ifindex: u32) -> Result<bool, KernelError> {
    match filter::add_clsact(ifindex) {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.errno == libc::EEXIST => Ok(false),
        Err(refusal) => Err(refusal.about("RTM_NEWQDISC", route::on(ifindex, "clsact"))),
    }
}

pub(super) fn remove_clsact(ifindex: u32) -> Result<bool, KernelError> {
    let _turn = turn()?;
    let used = |direction| Ok(!list(ifindex, direction)?.is_empty());
    if used(Direction::Ingress)? || used(Direction::Egress)? {
        return Ok(false);
    }
    match filter::remove_clsact(ifindex) {
        Err(refusal) if !absent(refusal.errno) => {
            Err(refusal.about("RTM_DELQDISC", route::on(ifindex, "clsact")))
        }
        _ => Ok(true),
    }
}

pub(super) fn filters(ifindex: u32) -> Result<Vec<Filter>, KernelError> {
    let found = list(ifindex, Direction::Ingress)?;
    if found.is_empty() {
        // The kernel lists nothing for an interface that does not exist, and calls it success.
        route::get_link(ifindex).map_err(|refusal| about(refusal, "RTM_GETTFILTER", ifindex))?;
    }
    Ok(found)
}

pub(super) fn add(
    ifindex: u32,
    key: FilterKey,
    program: BorrowedFd<'_>,
    name: &str,
) -> Result<(), KernelError> {
    const OPERATION: &str = "RTM_NEWTFILTER";
    proper(OPERATION, ifindex, key)?;
    let object = || route::on(ifindex, &key.to_string());
    filter::set(ifindex, key, program, name, run_by(program)?, true)
        .map_err(|r| r.about(OPERATION, object()))
}

/// The kernel takes a program that was loaded for a NIC with `skip_sw` only (`cls_bpf_prog_from_efd`);
/// any other is for the host, and no driver is to be asked about it.
fn run_by(program: BorrowedFd<'_>) -> Result<u32, KernelError> {
    Ok(if info::program(program)?.ifindex == 0 { SKIP_HW } else { SKIP_SW })
}

pub(super) fn replace(
    ifindex: u32,
    key: FilterKey,
    old: u32,
    program: BorrowedFd<'_>,
    name: &str,
) -> Result<(), KernelError> {
    const OPERATION: &str = "RTM_NEWTFILTER";
    proper(OPERATION, ifindex, key)?;
    let object = || route::on(ifindex, &key.to_string());
    let _turn = turn()?;
    match running(ifindex, key)? {
        None => return Err(KernelError::new(OPERATION, object(), libc::ENOENT)),
        Some(id) if id != Some(old) => {
            let now = id.map_or_else(|| "classic BPF".to_owned(), |id| format!("program {id}"));
            let refused = KernelError::new(OPERATION, object(), libc::EPERM);
            return Err(refused.saying(format!("{now} runs there, not program {old}")));
        }
        Some(_) => {}
    }
    filter::set(ifindex, key, program, name, run_by(program)?, false)
        .map_err(|r| r.about(OPERATION, object()))
}

pub(super) fn remove(ifindex: u32, key: FilterKey, program_id: u32) -> Result<bool, KernelError> {
    const OPERATION: &str = "RTM_DELTFILTER";
    proper(OPERATION, ifindex, key)?;
    let _turn = turn()?;
    match running(ifindex, key)? {
        None => return Ok(true),
        Some(id) if id != Some(program_id) => return Ok(false),
        Some(_) => {}
    }
    match filter::remove(ifindex, key) {
        Err(refusal) if !absent(refusal.errno) => {
            Err(refusal.about(OPERATION, route::on(ifindex, &key.to_string())))
        }
        _ => Ok(true),
    }
}

/// Waits for the calling thread's network namespace to be nobody else's to change.
fn turn() -> Result<OwnedFd, KernelError> {
    let file = turn_file()?;
    lock::take(&file, NAMESPACE)?;
    Ok(file.into())
}

/// What [`turn`] locks, not locked.
pub(super) fn turn_file() -> Result<File, KernelError> {
    File::open(NAMESPACE).map_err(|error| KernelError::io("open", NAMESPACE, &error))
}

/// The program of a filter that one of these calls may have made; `None` where there is none.
fn running(ifindex: u32, key: FilterKey) -> Result<Option<Option<u32>>, KernelError> {
    let ours = |f: &&Filter| {
        f.key == key && f.chain == 0 && f.kind == "bpf" && f.protocol == EVERY_PROTOCOL
    };
    Ok(list(ifindex, Direction::Ingress)?.iter().find(ours).map(|found| found.program_id))
}

fn list(ifindex: u32, direction: Direction) -> Result<Vec<Filter>, KernelError> {
    filter::list(ifindex, direction).map_err(|refusal| about(refusal, "RTM_GETTFILTER", ifindex))
}

/// To the kernel a number of 0 means any, and removing any removes all.
pub(super) fn proper(operation: &str, ifindex: u32, key: FilterKey) -> Result<(), KernelError> {
    if key.priority != 0 && key.handle != 0 {
        return Ok(());
    }
    let refused = KernelError::new(operation, route::on(ifindex, &key.to_string()), libc::EINVAL);
    Err(refused.saying("neither priority nor handle may be 0"))
}

fn about(refusal: crate::kernel::netlink::Refusal, operation: &str, ifindex: u32) -> KernelError {
    refusal.about(operation, route::on(ifindex, "filters"))
}

/// How the kernel says that there is no such filter, chain, qdisc or interface (any more).
const fn absent(errno: i32) -> bool {
    matches!(errno, libc::ENOENT | libc::EINVAL | libc::ENODEV)
}
