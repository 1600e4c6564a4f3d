//! Network namespaces as values.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::thread::LinkNameSpaceType;

use super::named::Name;
use super::{LabError, link};

/// The calling thread's network namespace.
pub(super) const OWN: &str = "/proc/thread-self/ns/net";

/// What a new namespace is told before anything happens in it, so that it keeps silent.
const QUIET: [(&str, &str); 5] = [
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/autoconf", "0"),
];

/// A network namespace. Clones share it; it ends with the last clone and the last process in it.
#[derive(Clone, Debug)]
pub struct Namespace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    descriptor: OwnedFd,
    name: Option<Name>,
}

impl Namespace {
    /// A new namespace that only this process can find.
    ///
    /// # Errors
    /// The kernel would not make one.
    pub fn new() -> Result<Self, LabError> {
        Self::create(None)
    }

    /// A new namespace that `ip netns` and `--netns NAME` find. Its name is
    /// `hoist-<label>-<process id>-<number>`; see [`Namespace::name`]. Sweeps what killed processes
    /// left.
    ///
    /// # Errors
    /// The kernel would not make one, or it could not be named.
    pub fn named(label: &str) -> Result<Self, LabError> {
        super::sweep()?;
        Self::create(Some(Name::reserve(label)?))
    }

    /// A namespace that exists already, by a path such as `/run/netns/NAME` or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: &Path) -> Result<Self, LabError> {
        let file = File::open(path).map_err(|e| LabError::io("open", path.display(), &e))?;
        Ok(Self { inner: Arc::new(Inner { descriptor: file.into(), name: None }) })
    }

    fn create(mut name: Option<Name>) -> Result<Self, LabError> {
        // A thread of its own: unshare changes the caller, and the caller's namespace must not leak.
        let made = thread::spawn(move || {
            crate::sys::unshare_network()
                .map_err(|e| LabError::io("unshare", "a network namespace", &e))?;
            let descriptor = File::open(OWN).map_err(|e| LabError::io("open", OWN, &e))?;
            for (key, value) in QUIET {
                sysctl(key, value)?;
            }
            link::set_up(1, true).map_err(|e| LabError::refused("RTM_NEWLINK", "lo", &e))?;
            if let Some(name) = &mut name {
                name.bind()?;
            }
            Ok(Self { inner: Arc::new(Inner { descriptor: descriptor.into(), name }) })
        });
        made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The name under `/run/netns`, for those that have one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_ref().map(Name::as_str)
    }

    /// A path that names this namespace to other processes while this one lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match &self.inner.name {
            Some(name) => name.path(),
            None => {
                let descriptor = self.inner.descriptor.as_raw_fd();
                Path::new("/proc").join(format!("{}/fd/{descriptor}", std::process::id()))
            }
        }
    }

    /// Runs `work` inside, on a thread of its own: the caller never leaves its own namespace, and a
    /// panic in `work` goes on in the caller.
    ///
    /// # Panics
    /// When `work` does, or when the namespace cannot be entered, which takes the privilege that
    /// making it took.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let entered = rustix::thread::move_into_link_name_space(
                self.as_fd(),
                Some(LinkNameSpaceType::Network),
            );
            if let Err(error) = entered {
                std::panic::panic_any(format!("cannot enter {}: {error}", self.path().display()));
            }
            work()
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a command inside. It keeps the namespace alive while it runs.
    ///
    /// # Errors
    /// The command could not be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, LabError> {
        self.run(|| command.spawn())
            .map_err(|e| LabError::io("run", command.get_program().display(), &e))
    }

    /// Runs a command inside to its end, and kills it when that takes longer than `limit`.
    ///
    /// # Errors
    /// The command could not be started or did not end in time.
    pub fn output(&self, command: &mut Command, limit: Duration) -> Result<Output, LabError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn(command)?;
        let pid = rustix::process::Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        let waiter = thread::spawn(move || {
            // The receiver is gone only when the wait took too long.
            let _ = sender.send(child.wait_with_output());
        });
        let program = command.get_program().display();
        let answer = match receiver.recv_timeout(limit) {
            Ok(output) => output.map_err(|e| LabError::io("run", program, &e)),
            Err(_) => {
                // The child is not reaped before the waiter ends, so the pid is still its own.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                Err(LabError::new("run", program, format_args!("did not end within {limit:?}")))
            }
        };
        // It ends as soon as the child did.
        let _ = waiter.join();
        answer
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.descriptor.as_fd()
    }
}

fn sysctl(key: &str, value: &str) -> Result<(), LabError> {
    let path = Path::new("/proc/sys").join(key);
    match std::fs::write(&path, value) {
        // A kernel without IPv6 has nothing to silence.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && key.contains("ipv6") => Ok(()),
        other => other.map_err(|e| LabError::io("write", path.display(), &e)),
    }
}
