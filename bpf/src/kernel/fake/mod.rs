//! A kernel in memory: the same books, the same rules, no privilege.
//!
//! Programs are not verified or run; loading, attaching, replacing, pinning, map writes and their
//! refusals are kept as the kernel keeps them, in its words. Failures can be ordered
//! ([`Fake::fail_next`]), and what happened can be read back ([`Fake::journal`]).

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Filter, FilterKey, KernelError, ProgramSpec, TestRun, TestRunSpec, XdpMode, XdpSlots};
use crate::insn::Insn;

mod books;
mod card;
mod door;
mod links;
mod load;
mod pins;
mod settings;
mod slots;
mod table;
mod tc;

use books::Books;
pub use card::Card;
use slots::Interface;

/// Error numbers, so that the fake needs no C library.
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EBADF: i32 = 9;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const EEXIST: i32 = 17;
    pub(super) const ENODEV: i32 = 19;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const EPIPE: i32 = 32;
    pub(super) const ERANGE: i32 = 34;
    pub(super) const EDEADLK: i32 = 35;
    pub(super) const ENOTEMPTY: i32 = 39;
    pub(super) const ENOLINK: i32 = 67;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const ENOTSUPP: i32 = 524;
}

/// Inode number of the network namespace one starts in.
const NAMESPACE: u64 = 4_026_531_840;

/// An interface of the fake kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeInterface {
    /// Index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// Whether its driver knows native XDP (`ndo_bpf`).
    pub native: bool,
    /// The NIC behind it, where its driver takes programs for it.
    pub card: Option<Card>,
    /// What the driver says to a native attach: error number and sentence.
    pub native_refusal: Option<(i32, Option<String>)>,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Largest MTU the driver takes, in bytes.
    pub max_mtu_bytes: u32,
    /// Indices of the devices stacked on top.
    pub upper: Vec<u32>,
    /// ethtool features: whether they are on, and whether they can be changed.
    pub features: BTreeMap<String, (bool, bool)>,
    /// Whether kernel threads poll its NAPI.
    pub threaded_napi: bool,
    /// Program ids at the tcx hooks.
    pub tcx_ingress: Vec<u32>,
    /// See [`FakeInterface::tcx_ingress`].
    pub tcx_egress: Vec<u32>,
    /// Whether it has a clsact qdisc.
    pub clsact: bool,
    /// The filters of its clsact ingress, in the order in which they run.
    pub filters: Vec<Filter>,
}

impl FakeInterface {
    /// An Ethernet interface whose driver knows native XDP but no offload.
    #[must_use]
    pub fn new(ifindex: u32, name: &str) -> Self {
        Self {
            ifindex,
            name: name.to_owned(),
            native: true,
            card: None,
            native_refusal: None,
            mtu_bytes: 1500,
            max_mtu_bytes: 9000,
            upper: Vec::new(),
            features: BTreeMap::from([("rx-gro".to_owned(), (true, true))]),
            threaded_napi: false,
            tcx_ingress: Vec::new(),
            tcx_egress: Vec::new(),
            clsact: false,
            filters: Vec::new(),
        }
    }
}

/// Something that happened to the fake kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program was loaded.
    Loaded {
        /// Name, cut to 15 bytes.
        name: String,
        /// Id.
        program: u32,
    },
    /// A program came into a slot, perhaps in place of another.
    Attached {
        /// Interface.
        ifindex: u32,
        /// Slot.
        mode: XdpMode,
        /// Program id.
        program: u32,
        /// Link id; `None` when it came over netlink.
        link: Option<u32>,
    },
    /// A program left a slot.
    Detached {
        /// Interface.
        ifindex: u32,
        /// Slot.
        mode: XdpMode,
        /// Program id.
        program: u32,
    },
    /// A link came to tcx ingress, before all others, or got another program.
    TcxAttached {
        /// Interface.
        ifindex: u32,
        /// Program id.
        program: u32,
        /// Link id.
        link: u32,
    },
    /// A program left tcx ingress.
    TcxDetached {
        /// Interface.
        ifindex: u32,
        /// Program id.
        program: u32,
    },
    /// An interface was given clsact.
    ClsactAdded {
        /// Interface.
        ifindex: u32,
    },
    /// An interface's clsact was removed.
    ClsactRemoved {
        /// Interface.
        ifindex: u32,
    },
    /// A filter was added, or got another program.
    FilterSet {
        /// Interface.
        ifindex: u32,
        /// Where.
        key: FilterKey,
        /// Program id.
        program: u32,
    },
    /// A filter was removed.
    FilterRemoved {
        /// Interface.
        ifindex: u32,
        /// Where.
        key: FilterKey,
        /// Program id.
        program: u32,
    },
    /// An object was pinned.
    Pinned(PathBuf),
    /// A pin was removed.
    Unpinned(PathBuf),
    /// An MTU changed.
    Mtu {
        /// Interface.
        ifindex: u32,
        /// The new one, in bytes.
        bytes: u32,
    },
    /// An ethtool feature changed.
    Feature {
        /// Interface.
        interface: String,
        /// Name of the feature.
        feature: String,
        /// The new state.
        on: bool,
    },
    /// Kernel threads poll an interface's NAPI, or no longer.
    ThreadedNapi {
        /// Interface.
        interface: String,
        /// The new state.
        on: bool,
    },
    /// A thread may run on some processors only.
    ThreadPinned {
        /// The thread.
        thread: u32,
        /// The processors.
        cpus: Vec<u32>,
    },
}

/// Judges a program before it is loaded.
type Judge = dyn Fn(&ProgramSpec<'_>) -> Result<(), KernelError> + Send;
/// Plays a program: its instructions, the input, the outcome.
type Player = dyn Fn(&[Insn], &TestRunSpec<'_>) -> Result<TestRun, KernelError> + Send;

struct Verifier(Box<Judge>);
struct Answer(Box<Player>);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// The kernel in memory.
#[derive(Debug)]
pub struct Fake {
    books: Mutex<Books>,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// A kernel with four CPUs, tcx, and no interfaces, seen from the first network namespace.
    #[must_use]
    pub fn new() -> Self {
        let mut books = Books::default();
        books.namespace = NAMESPACE;
        books.cpus = 4;
        books.tcx = true;
        Self { books: Mutex::new(books) }
    }

    /// Plugs in an interface; one of the same index is replaced.
    pub fn add_interface(&self, given: FakeInterface) {
        let ifindex = given.ifindex;
        self.books().interfaces.insert(ifindex, Interface { given, slots: BTreeMap::new() });
    }

    /// Pulls an interface out: links to it stay, defunct, and programs attached over netlink go. What
    /// was loaded for its NIC goes to another port of that NIC, or is orphaned with the last.
    pub fn remove_interface(&self, ifindex: u32) {
        let mut books = self.books();
        let links: Vec<u32> =
            books.links.iter().filter(|(_, l)| l.ifindex == ifindex).map(|(id, _)| *id).collect();
        for link in links {
            books.release(link);
        }
        let removed = books.interfaces.remove(&ifindex);
        if let Some(card) = removed.and_then(|interface| interface.given.card) {
            books.unplug(ifindex, card.asic);
        }
        books.collect();
    }

    /// Writes lines to the kernel's log.
    pub fn print_kernel_log(&self, lines: &[&str]) {
        self.books().log.lines().extend(lines.iter().map(|&line| line.to_owned()));
    }

    /// Changes an interface behind everyone's back. Unknown indices change nothing.
    pub fn with_interface(&self, ifindex: u32, change: impl FnOnce(&mut FakeInterface)) {
        if let Some(interface) = self.books().interfaces.get_mut(&ifindex) {
            change(&mut interface.given);
        }
    }

    /// Lets a program replace a function (by BTF id) of the program `target`, as libxdp does in its
    /// dispatcher, until the descriptor is dropped.
    ///
    /// # Errors
    /// There is no such program.
    pub fn extend(
        &self,
        program: BorrowedFd<'_>,
        target: u32,
        function: u32,
    ) -> Result<OwnedFd, KernelError> {
        links::extend(&mut self.books(), program, target, function)
    }

    /// What is in the XDP slots of an interface; empty slots for an unknown one.
    #[must_use]
    pub fn slots(&self, ifindex: u32) -> XdpSlots {
        self.books().interfaces.get(&ifindex).map(Interface::xdp).unwrap_or_default()
    }

    /// Makes the next call of `failure.operation` fail so. Several failures of one operation come in
    /// the order in which they were ordered.
    pub fn fail_next(&self, failure: KernelError) {
        self.books().failures.push_back(failure);
    }

    /// Judges every program from now on.
    pub fn verify_with(
        &self,
        judge: impl Fn(&ProgramSpec<'_>) -> Result<(), KernelError> + Send + 'static,
    ) {
        self.books().verifier = Some(Verifier(Box::new(judge)));
    }

    /// Answers every test run from now on. Without it only programs of a constant verdict run.
    pub fn run_with(
        &self,
        player: impl Fn(&[Insn], &TestRunSpec<'_>) -> Result<TestRun, KernelError> + Send + 'static,
    ) {
        self.books().answer = Some(Answer(Box::new(player)));
    }

    /// Gives the kernel BTF; without it there is none.
    pub fn set_kernel_btf(&self, btf: Option<Vec<u8>>) {
        self.books().kernel_btf = btf;
    }

    /// Whether the kernel has tcx (6.6 and later).
    pub fn set_tcx(&self, present: bool) {
        self.books().tcx = present;
    }

    /// Moves the caller to a network namespace of this inode number. The interfaces come along: they
    /// stand for others of the same index.
    pub fn set_network_namespace(&self, inode: u64) {
        self.books().namespace = inode;
    }

    /// What has happened so far.
    #[must_use]
    pub fn journal(&self) -> Vec<Event> {
        self.books().journal.clone()
    }

    /// The pinned paths.
    #[must_use]
    pub fn pins(&self) -> Vec<PathBuf> {
        self.books().pins.keys().cloned().collect()
    }

    /// The books, up to date. A panic while they were open leaves them as consistent as before: no
    /// call changes them half.
    fn books(&self) -> MutexGuard<'_, Books> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.collect();
        books
    }
}

#[cfg(test)]
mod tests;
