//! The watcher: a process that removes a filter when its owner is gone, however it went.
//!
//! The owner holds one end of a socket pair, the watcher the other. End of file means that no copy of
//! the owner's end is left; a byte means that the filter is to stay. The process that calls may have
//! any number of threads, so between fork(2) and its end the watcher makes system calls and nothing
//! else: every request is written and every buffer allocated before.
#![expect(unsafe_code, reason = "fork(2) and what may follow it")]

use std::ffi::c_uint;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::tc;
use crate::kernel::netlink::filter::{self, Direction};
use crate::kernel::netlink::prepared::Prepared;
use crate::kernel::netlink::{Refusal, Socket, route};
use crate::kernel::{FilterKey, KernelError};

const NAME: &std::ffi::CStr = c"hoist-watcher";
/// Room for one datagram of an answer.
const BUFFER: usize = 32 << 10;

/// Everything the watcher will need.
struct Watcher {
    owner: UnixStream,
    netlink: Socket,
    /// See [`tc::turn_file`]: a replacement may be under way when the owner dies.
    turn: std::fs::File,
    ask: Prepared,
    remove: Prepared,
    lists: [Prepared; 2],
    remove_clsact: Prepared,
    program_id: u32,
    clsact_too: bool,
    buffer: Vec<u8>,
}

pub(super) fn start(
    ifindex: u32,
    key: FilterKey,
    program_id: u32,
    clsact_too: bool,
) -> Result<OwnedFd, KernelError> {
    const OPERATION: &str = "fork";
    tc::proper(OPERATION, ifindex, key)?;
    let object = || format!("watcher of {}", route::on(ifindex, &key.to_string()));
    let failed = |error: io::Error| KernelError::io(OPERATION, object(), &error);
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut watcher = prepare(theirs, ifindex, key, program_id, clsact_too)
        .map_err(|refusal| refusal.about(OPERATION, object()))?;
    fork(&mut watcher).map_err(failed)?;
    drop(watcher);
    // It says when it is ready; if it dies before, its end closes.
    let ready = ours.read_exact(&mut [0]);
    ready.map_err(|_| KernelError::new(OPERATION, object(), libc::ECHILD).saying("it died"))?;
    Ok(ours.into())
}

pub(super) fn dismiss(owner: OwnedFd) -> Result<(), KernelError> {
    let byte = [1_u8];
    // SAFETY: one byte, alive. A watcher that is gone shall not raise SIGPIPE.
    let sent =
        unsafe { libc::send(owner.as_raw_fd(), byte.as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
    if sent == 1 {
        return Ok(());
    }
    Err(KernelError::io("send", "watcher of a filter", &io::Error::last_os_error()))
}

fn prepare(
    owner: UnixStream,
    ifindex: u32,
    key: FilterKey,
    program_id: u32,
    clsact_too: bool,
) -> Result<Watcher, Refusal> {
    let one = filter::filter_request(ifindex, key);
    let list = |direction, sequence| {
        Prepared::dump(filter::RTM_GETTFILTER, &filter::list_request(ifindex, direction), sequence)
    };
    let qdisc = filter::remove_clsact_request(ifindex);
    let turn = tc::turn_file()
        .map_err(|error| Refusal { errno: error.errno, message: Some(error.to_string()) })?;
    Ok(Watcher {
        owner,
        netlink: Socket::route()?,
        turn,
        ask: Prepared::request(filter::RTM_GETTFILTER, &one, 1)?,
        remove: Prepared::request(filter::RTM_DELTFILTER, &one, 2)?,
        lists: [list(Direction::Ingress, 3)?, list(Direction::Egress, 4)?],
        remove_clsact: Prepared::request(filter::RTM_DELQDISC, &qdisc, 5)?,
        program_id,
        clsact_too,
        buffer: vec![0; BUFFER],
    })
}

/// Starts the watcher as an orphan, for the system's first process to reap. It is born with every
/// signal blocked, and stays so: it has no use for any.
fn fork(watcher: &mut Watcher) -> io::Result<()> {
    // SAFETY: the sets are plain data that sigfillset and pthread_sigmask fill; the child of fork
    // makes async-signal-safe calls only and never returns; the parent waits for the child it made.
    unsafe {
        let (mut every, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut every);
        let masked = libc::pthread_sigmask(libc::SIG_SETMASK, &raw const every, &raw mut before);
        if masked != 0 {
            return Err(io::Error::from_raw_os_error(masked));
        }
        let child = libc::fork();
        if child == 0 {
            libc::setsid();
            match libc::fork() {
                0 => watcher.live(),
                second => libc::_exit(i32::from(second < 0)),
            }
        }
        let failure = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        if child < 0 {
            return Err(failure);
        }
        // Where the caller reaps all its children, ours may be gone already: it has done its part.
        while libc::waitpid(child, std::ptr::null_mut(), 0) < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
    Ok(())
}

impl Watcher {
    /// The life of the watcher. Nothing here allocates, panics or takes a lock of the process.
    fn live(&mut self) -> ! {
        let owner = self.owner.as_raw_fd();
        let kept = [owner, self.netlink.descriptor(), self.turn.as_raw_fd()];
        let mut byte = 1_u8;
        // SAFETY: system calls on descriptors of this process and on one byte that is alive; _exit
        // runs nothing of the parent's.
        unsafe {
            if !close_others(kept) {
                libc::_exit(1);
            }
            libc::prctl(libc::PR_SET_NAME, NAME.as_ptr());
            libc::chdir(c"/".as_ptr());
            if libc::send(owner, (&raw const byte).cast(), 1, libc::MSG_NOSIGNAL) != 1 {
                libc::_exit(1);
            }
            if libc::recv(owner, (&raw mut byte).cast(), 1, 0) <= 0 {
                self.clean();
            }
            libc::_exit(0)
        }
    }

    fn clean(&mut self) {
        let socket = self.netlink.descriptor();
        // SAFETY: takes a descriptor of this process. Without the lock the work is done all the same.
        unsafe { libc::flock(self.turn.as_raw_fd(), libc::LOCK_EX) };
        let mut running = None;
        let there = self.ask.exchange(socket, &mut self.buffer, |kind, payload| {
            if kind == filter::RTM_NEWTFILTER {
                running = filter::program_id(payload);
            }
        });
        if there && running != Some(self.program_id) {
            return;
        }
        if there {
            self.remove.exchange(socket, &mut self.buffer, |_, _| {});
        }
        if !self.clsact_too {
            return;
        }
        let mut empty = true;
        for list in &self.lists {
            let mut filters = false;
            let listed = list.exchange(socket, &mut self.buffer, |kind, _| {
                filters |= kind == filter::RTM_NEWTFILTER;
            });
            empty &= listed && !filters;
        }
        if empty {
            self.remove_clsact.exchange(socket, &mut self.buffer, |_, _| {});
        }
    }
}

/// Closes every descriptor but three: others would keep links, pipes and terminals alive.
///
/// # Safety
/// The process must not use any other descriptor afterwards.
unsafe fn close_others(mut kept: [RawFd; 3]) -> bool {
    kept.sort_unstable();
    let mut first: c_uint = 0;
    for kept in kept.map(i32::cast_unsigned) {
        // SAFETY: as promised by the caller.
        if kept > first && unsafe { close_range(first, kept - 1) } != 0 {
            return false;
        }
        first = kept.saturating_add(1);
    }
    // SAFETY: as promised by the caller.
    unsafe { close_range(first, c_uint::MAX) == 0 }
}

/// close_range(2), which not every C library has.
///
/// # Safety
/// The process must not use the descriptors afterwards.
unsafe fn close_range(first: c_uint, last: c_uint) -> libc::c_long {
    // SAFETY: takes numbers only; as promised by the caller.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }
}
