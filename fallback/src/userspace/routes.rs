//! Keeps the routes of a running machine those of the host.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hoist_bpf::module::{Module, Target};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::environment::routing::{Changes, Index, Routing};

/// How long changes are collected before a new snapshot is taken: routing daemons and neighbour
/// discovery bring many at once.
const SETTLE: Duration = Duration::from_millis(100);

/// `bpf_check_mtu` and `bpf_fib_lookup`.
const ASKING: [i32; 2] = [50, 69];

/// Whether a module asks for routes at all.
pub(super) fn concern(module: &Module) -> bool {
    let mut code = module.functions.iter().flat_map(|function| &function.code);
    code.any(|inst| {
        inst.insn.is_call()
            && inst.insn.src() == 0
            && matches!(inst.target, Target::None)
            && ASKING.contains(&inst.insn.imm)
    })
}

/// A thread that takes a new snapshot when something changed. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Follower {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the network namespace that the calling thread is in; each new snapshot is given to `set`,
    /// the first at once. Where a snapshot is refused, the last one stays.
    pub(super) fn start(set: impl Fn(Arc<Index>) + Send + 'static) -> io::Result<Self> {
        let changes = Changes::listen()?;
        let (stop, stopped) = UnixStream::pair()?;
        let body = move || follow(&changes, &stopped, &set);
        let thread = std::thread::Builder::new().name("routes".to_owned()).spawn(body)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // A thread that ended already does not read it.
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(changes: &Changes, stop: &UnixStream, set: &impl Fn(Arc<Index>)) {
    loop {
        if let Ok(routing) = Routing::take() {
            set(Arc::new(Index::new(&routing)));
        }
        if woken(&[stop.as_fd(), changes.as_fd()], None) || woken(&[stop.as_fd()], Some(SETTLE)) {
            return;
        }
        let _ = changes.heard();
    }
}

/// Waits for any of them; whether it is the first that is ready, or none can be waited for.
fn woken(for_any: &[BorrowedFd<'_>], limit: Option<Duration>) -> bool {
    let mut all: Vec<PollFd<'_>> =
        for_any.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(&mut all, limit.as_ref()) {
        Ok(_) => all.first().is_some_and(|first| !first.revents().is_empty()),
        Err(error) => error != rustix::io::Errno::INTR,
    }
}
