//! The one door to the running kernel.
//!
//! Everything in hoist that changes the state of the system goes through [`Kernel`]: loading,
//! attaching, pinning, map writes, rtnetlink and ethtool setters. Reading goes through it too where
//! the answer comes from `bpf(2)`. There are two implementations: `Linux` (feature `kernel`), the
//! only code in the project that touches libbpf or makes system calls for BPF, and `Fake`, which
//! keeps the same books in memory, so that every engine and every failure can be driven without
//! root.
//!
//! Objects are held as [`OwnedFd`]. As in the kernel, the last holder closes: dropping a link's
//! descriptor detaches it unless it is pinned. The last holder may be someone else for a moment (a
//! process being started holds copies until it executes, a lister of links holds each in turn), so
//! whoever must know that a link is detached calls [`Kernel::link_detach`] first.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub mod capability;
mod error;
#[cfg(feature = "kernel")]
pub mod ethtool;
pub mod fake;
mod interrupt;
#[cfg(feature = "kernel")]
mod linux;
pub mod loader;
#[cfg(feature = "kernel")]
pub mod netlink;
#[cfg(feature = "kernel")]
pub mod netns;
pub mod tc;
mod types;
#[cfg(feature = "yardstick")]
pub mod yardstick;

pub use capability::Capability;
pub use error::{KernelError, errno_name, errno_text};
pub use fake::Fake;
pub use interrupt::Interrupt;
#[cfg(feature = "kernel")]
pub use linux::Linux;
pub use tc::{Filter, FilterKey};
pub use types::{
    Entries, Expect, LinkInfo, MapInfo, MapSpec, ObjectKind, ProgramInfo, ProgramSpec, TestRun,
    TestRunSpec, XdpMode, XdpSlots,
};

/// Bytes that may be the kernel's own, looked at where they lie, or a copy.
pub type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Lines of the kernel's log.
pub type LogLines = Box<dyn Iterator<Item = String> + Send>;

/// Everything hoist asks of, or does to, the running kernel's BPF and network configuration.
///
/// Names of operations in errors are those of `bpf(2)` and rtnetlink(7).
pub trait Kernel: Send + Sync + std::fmt::Debug {
    /// Loads a program. The verifier's log is in the error, whole.
    ///
    /// # Errors
    /// The kernel's refusal, with the log.
    fn load_program(&self, spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError>;

    /// Loads a BTF object (`BPF_BTF_LOAD`).
    ///
    /// # Errors
    /// The kernel's refusal, with the log.
    fn load_btf(&self, btf: &[u8]) -> Result<OwnedFd, KernelError>;

    /// Creates a map.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn create_map(&self, spec: &MapSpec<'_>) -> Result<OwnedFd, KernelError>;

    /// Reads one value; `None` when the key is absent. Per-CPU maps return the values of all
    /// possible CPUs, each rounded up to 8 bytes. `value_len` is the whole length in bytes.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn map_lookup(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError>;

    /// Writes one value; `flags` are `BPF_ANY` 0, `BPF_NOEXIST` 1, `BPF_EXIST` 2.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn map_update(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), KernelError>;

    /// Writes entries, by batches where the map type allows, else one by one. What was written before
    /// one was refused stays.
    ///
    /// # Errors
    /// The kernel's refusal of the first entry that it did not take.
    fn map_update_entries(
        &self,
        map: BorrowedFd<'_>,
        entries: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), KernelError>;

    /// Deletes one key; `false` when it was absent.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn map_delete(&self, map: BorrowedFd<'_>, key: &[u8]) -> Result<bool, KernelError>;

    /// The key after `key` (`None`: the first); `None` at the end.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn map_next_key(
        &self,
        map: BorrowedFd<'_>,
        key: Option<&[u8]>,
        key_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError>;

    /// All entries, by batches where the map type allows, else key by key.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn map_entries(
        &self,
        map: BorrowedFd<'_>,
        key_len: usize,
        value_len: usize,
    ) -> Result<Entries, KernelError>;

    /// Makes a map read-only for user space (`BPF_MAP_FREEZE`).
    ///
    /// # Errors
    /// The kernel's refusal.
    fn map_freeze(&self, map: BorrowedFd<'_>) -> Result<(), KernelError>;

    /// Pins an object (`BPF_OBJ_PIN`). Parent directories must exist on a bpffs.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn pin(&self, object: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError>;

    /// Opens a pinned object (`BPF_OBJ_GET`); `None` when nothing is there.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn get_pinned(&self, path: &Path) -> Result<Option<OwnedFd>, KernelError>;

    /// Removes a pin. Absent is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn unpin(&self, path: &Path) -> Result<(), KernelError>;

    /// A bpffs that every way of entering this machine sees, mounted if need be, with `sub`
    /// created in it. `ip netns exec` hides `/sys/fs/bpf`, so the answer may lie elsewhere.
    ///
    /// # Errors
    /// Why none could be had.
    fn bpffs(&self, sub: &str) -> Result<PathBuf, KernelError>;

    /// Attaches by `BPF_LINK_CREATE` (`BPF_XDP`). On refusal the error's message is the driver's or
    /// core's own text, taken from the tracepoint `xdp:bpf_xdp_link_attach_failed`, or by replaying
    /// the attach over netlink.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn link_xdp(
        &self,
        program: BorrowedFd<'_>,
        ifindex: u32,
        mode: XdpMode,
    ) -> Result<OwnedFd, KernelError>;

    /// Swaps a link's program (`BPF_LINK_UPDATE` with `BPF_F_REPLACE`): compare and swap.
    ///
    /// # Errors
    /// The kernel's refusal; `EPERM` when `old` is not what runs.
    fn link_update(
        &self,
        link: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        old: BorrowedFd<'_>,
    ) -> Result<(), KernelError>;

    /// Detaches a link, leaving its descriptor (`BPF_LINK_DETACH`).
    ///
    /// # Errors
    /// The kernel's refusal.
    fn link_detach(&self, link: BorrowedFd<'_>) -> Result<(), KernelError>;

    /// Attaches or, with `program` absent, detaches over rtnetlink (`RTM_SETLINK`, `IFLA_XDP`).
    /// Returns the kernel's warning text, which may come with success.
    ///
    /// # Errors
    /// The kernel's refusal with its extack.
    fn netlink_xdp(
        &self,
        ifindex: u32,
        program: Option<BorrowedFd<'_>>,
        mode: Option<XdpMode>,
        expect: Expect<'_>,
    ) -> Result<Option<String>, KernelError>;

    /// Facts of a program.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn program_info(&self, program: BorrowedFd<'_>) -> Result<ProgramInfo, KernelError>;

    /// Facts of a map.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn map_info(&self, map: BorrowedFd<'_>) -> Result<MapInfo, KernelError>;

    /// Facts of a link.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn link_info(&self, link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError>;

    /// The raw bytes of a BTF object.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn btf_bytes(&self, btf: BorrowedFd<'_>) -> Result<Vec<u8>, KernelError>;

    /// All ids of a kind.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn ids(&self, kind: ObjectKind) -> Result<Vec<u32>, KernelError>;

    /// Opens an object by id; `None` when it is gone.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn open(&self, kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>, KernelError>;

    /// Program ids at a TCX hook (`BPF_PROG_QUERY`): attach type 46 ingress, 47 egress.
    ///
    /// # Errors
    /// The kernel's refusal; `EINVAL` where the kernel has no tcx.
    fn query_tcx(&self, ifindex: u32, attach_type: u32) -> Result<Vec<u32>, KernelError>;

    /// Attaches at tcx ingress by `BPF_LINK_CREATE` (`BPF_TCX_INGRESS`), before every program that is
    /// there (`BPF_F_BEFORE`). The link is updated, detached and asked about like an XDP link; its
    /// [`LinkInfo::kind`] is 11. The program's expected attach type must be 0 or 46. A program that was
    /// loaded for a NIC is refused here with `EINVAL`, although the kernel would take it.
    ///
    /// # Errors
    /// The kernel's refusal: `EINVAL` where the kernel has no tcx (before 6.6) or the program is not
    /// of type SCHED_CLS, `ENODEV` for an unknown interface, `ERANGE` when 64 programs are there.
    fn link_tcx(&self, program: BorrowedFd<'_>, ifindex: u32) -> Result<OwnedFd, KernelError>;

    /// Gives an interface a clsact qdisc (`RTM_NEWQDISC`); `false` when it has one, or an ingress
    /// qdisc, which serves as well.
    ///
    /// # Errors
    /// The kernel's refusal with its extack.
    fn add_clsact(&self, ifindex: u32) -> Result<bool, KernelError>;

    /// Removes an interface's clsact qdisc (`RTM_DELQDISC`) if no filter is left in it, ingress or
    /// egress: removing it would remove them. `false` when it stays for that reason; absent is
    /// success.
    ///
    /// # Errors
    /// The kernel's refusal with its extack.
    fn remove_clsact(&self, ifindex: u32) -> Result<bool, KernelError>;

    /// The filters of clsact ingress, of every kind and whoever put them there, in the order in
    /// which they run (`RTM_GETTFILTER`). No qdisc, no filters.
    ///
    /// # Errors
    /// The kernel's refusal; `ENODEV` when there is no such interface.
    fn filters(&self, ifindex: u32) -> Result<Vec<Filter>, KernelError>;

    /// Adds a cls_bpf filter at clsact ingress (`RTM_NEWTFILTER` with `NLM_F_EXCL`): every protocol,
    /// direct action, run by the host only, or by the NIC only (`skip_sw`) where the program was
    /// loaded for one. It runs before the filters of its priority that are there already. `name` is
    /// what tc(8) shows.
    ///
    /// # Errors
    /// The kernel's refusal with its extack: `EEXIST` when the key is taken, `EINVAL` when there is
    /// no clsact or the priority holds filters of another kind or protocol ([`Kernel::filters`] says
    /// which).
    fn add_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError>;

    /// Swaps a filter's program in place if it runs the program `old`: compare and swap. No packet is
    /// missed: each sees the old program or the new one.
    ///
    /// The kernel has no such operation on filters, so the comparison holds among users of this call,
    /// of [`Kernel::remove_filter`] and the watchers: they take turns by a lock on the network
    /// namespace. tc(8) does not ask for it.
    ///
    /// # Errors
    /// The kernel's refusal with its extack; `EPERM` when `old` is not what runs, `ENOENT` when
    /// nothing runs at the key.
    fn replace_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        old: u32,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError>;

    /// Removes a filter if it runs the program `program_id`, under the same lock as
    /// [`Kernel::replace_filter`]. `false` when another one runs there, which stays; absent is
    /// success.
    ///
    /// # Errors
    /// The kernel's refusal with its extack.
    fn remove_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
    ) -> Result<bool, KernelError>;

    /// Ties a filter's life to a descriptor: when its last copy closes, be it by `kill -9`, the
    /// filter is removed if it still runs `program_id`, and with `clsact_too` the qdisc as well if
    /// nothing else is in it.
    ///
    /// A filter has no link, so a process of its own waits for the descriptor to close. It ignores
    /// the signals of a terminal, holds no descriptor of the caller's, is nobody's zombie, and lives
    /// in the network namespace that the calling thread is in, keeping it alive so long. What kills it
    /// too (the kernel with a process namespace whose first process dies, `cgroup.kill`) leaves the
    /// filter where it is. tcx has no such gap.
    ///
    /// # Errors
    /// Why the process could not be started; the filter is as before then.
    fn watch_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
        clsact_too: bool,
    ) -> Result<OwnedFd, KernelError>;

    /// Dismisses the watcher behind a descriptor of [`Kernel::watch_filter`]: the filter stays.
    ///
    /// # Errors
    /// The watcher cannot be told; if it is gone (`EPIPE`), the filter stays as well.
    fn unwatch_filter(&self, watcher: OwnedFd) -> Result<(), KernelError>;

    /// Drops every frame that comes in by an interface, behind the taps and TC (nf_tables, family
    /// `netdev`, hook `ingress`), without BPF, for as long as the descriptor is open: the kernel removes
    /// the table with the last descriptor of the netlink socket that made it, by `kill -9` too.
    ///
    /// # Errors
    /// The kernel's refusal: `EPERM` without `CAP_NET_ADMIN` or when somebody does so already, `ENODEV`
    /// for an unknown interface.
    fn drop_ingress(&self, ifindex: u32) -> Result<OwnedFd, KernelError>;

    /// Takes hoist's advisory lock of a name, waiting for whoever holds it; closing the descriptor
    /// releases it. It is a file under `/run/hoist`; where none can be made there, one lock stands for
    /// all names, so hold one at a time.
    ///
    /// # Errors
    /// Why no lock could be had.
    fn lock(&self, name: &str) -> Result<OwnedFd, KernelError>;

    /// Like [`Kernel::lock`], but `None` when somebody holds it, and never one lock for all names.
    /// Since the system releases the locks of a process however it ends, whoever holds one lives.
    ///
    /// # Errors
    /// Why no lock could be had.
    fn try_lock(&self, name: &str) -> Result<Option<OwnedFd>, KernelError>;

    /// Removes what a lock leaves in the file system, once nobody will take it or wait for it again.
    /// Absent is success.
    ///
    /// # Errors
    /// Why it could not be removed.
    fn remove_lock(&self, name: &str) -> Result<(), KernelError>;

    /// The kernel's log (`/dev/kmsg`) from now on: each call of `next` gives a line that was written
    /// since, without its prefix, and `None` while there is none. Lines of others come too.
    ///
    /// # Errors
    /// The log may not be read: `EPERM` without `CAP_SYSLOG` where `kernel.dmesg_restrict` is set.
    fn kernel_log(&self) -> Result<LogLines, KernelError>;

    /// A note that hoist left itself in a directory of `/run/hoist`; `None` when there is none of
    /// that name. Notes outlive processes, not the machine's next start.
    ///
    /// # Errors
    /// Why it could not be read.
    fn note(&self, directory: &str, name: &str) -> Result<Option<Vec<u8>>, KernelError>;

    /// Leaves a note, in place of one that is there; without content, removes it. It is on its
    /// medium, whole, when this returns, and a crash meanwhile leaves the old one.
    ///
    /// # Errors
    /// Why it could not be written.
    fn leave_note(
        &self,
        directory: &str,
        name: &str,
        content: Option<&[u8]>,
    ) -> Result<(), KernelError>;

    /// The names of the notes in a directory, sorted; empty when there is no such directory.
    ///
    /// # Errors
    /// Why they could not be listed.
    fn notes(&self, directory: &str) -> Result<Vec<String>, KernelError>;

    /// Runs a program on a frame.
    ///
    /// # Errors
    /// The kernel's refusal; `EINTR` when a signal stopped it.
    fn test_run(
        &self,
        program: BorrowedFd<'_>,
        spec: &TestRunSpec<'_>,
    ) -> Result<TestRun, KernelError>;

    /// Sets an interface's MTU, in bytes.
    ///
    /// # Errors
    /// The kernel's refusal with its extack.
    fn set_mtu(&self, ifindex: u32, mtu_bytes: u32) -> Result<(), KernelError>;

    /// Switches an ethtool feature (`rx-gro`, `rx-vlan-hw-parse` ...) on or off.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn set_feature(&self, interface: &str, feature: &str, on: bool) -> Result<(), KernelError>;

    /// Whether an ethtool feature is on, as it is in force; a name that the kernel does not know is
    /// off.
    ///
    /// # Errors
    /// The kernel's refusal; `ENODEV` for an unknown interface.
    fn feature(&self, interface: &str, feature: &str) -> Result<bool, KernelError>;

    /// Has an interface's NAPI polled by kernel threads of its own, or by whoever raised it.
    ///
    /// # Errors
    /// The kernel's refusal: `EOPNOTSUPP` while the interface has no NAPI.
    fn set_threaded_napi(&self, interface: &str, on: bool) -> Result<(), KernelError>;

    /// Whether an interface's NAPI is polled by kernel threads of its own.
    ///
    /// # Errors
    /// The kernel's refusal; `ENOENT` for an unknown interface.
    fn threaded_napi(&self, interface: &str) -> Result<bool, KernelError>;

    /// Lets a thread, the kernel's included, run on these processors only.
    ///
    /// # Errors
    /// The kernel's refusal; `ESRCH` for a thread that is gone.
    fn pin_thread(&self, thread: u32, cpus: &[u32]) -> Result<(), KernelError>;

    /// The name of an interface of this network namespace; `None` when there is none of that index.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn interface_name(&self, ifindex: u32) -> Result<Option<String>, KernelError>;

    /// Raw vmlinux BTF (`/sys/kernel/btf/vmlinux`); `None` where the kernel has none.
    ///
    /// # Errors
    /// Why it could not be read.
    fn kernel_btf(&self) -> Result<Option<Bytes>, KernelError>;

    /// Number of possible CPUs: the count of values in a per-CPU map.
    ///
    /// # Errors
    /// Why it could not be read.
    fn possible_cpus(&self) -> Result<usize, KernelError>;

    /// The programs in an interface's XDP slots (`RTM_GETLINK`, `IFLA_XDP`).
    ///
    /// # Errors
    /// The kernel's refusal; `ENODEV` when there is no such interface.
    fn query_xdp(&self, ifindex: u32) -> Result<XdpSlots, KernelError>;

    /// Inode number of the network namespace that this thread is in; it names the namespace for as
    /// long as it lives.
    ///
    /// # Errors
    /// Why it could not be read.
    fn network_namespace(&self) -> Result<u64, KernelError>;

    /// Number of the network namespace that this thread is in: unlike the inode's, it is not given
    /// again to another after this one's end (`SO_NETNS_COOKIE`, until the machine's next start).
    ///
    /// # Errors
    /// The kernel's refusal.
    fn network_namespace_cookie(&self) -> Result<u64, KernelError>;

    /// Creates a directory for pins, with its parents, on a bpffs. One that exists is success. Names
    /// on a bpffs may not contain a dot.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn make_directory(&self, path: &Path) -> Result<(), KernelError>;

    /// The names in a directory of pins, sorted; empty when there is no such directory.
    ///
    /// # Errors
    /// The kernel's refusal, other than absence.
    fn list_directory(&self, path: &Path) -> Result<Vec<String>, KernelError>;

    /// Gives a directory of pins another name, which must be free, in the same directory of the same
    /// bpffs.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn rename_directory(&self, from: &Path, to: &Path) -> Result<(), KernelError>;

    /// Removes a directory of pins with everything below it. Absent is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn remove_directory(&self, path: &Path) -> Result<(), KernelError>;
}
