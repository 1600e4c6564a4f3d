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
//! descriptor detaches it unless it is pinned.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::insn::Insn;

/// The entries of a map: raw keys and values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An error from the kernel, with what was asked, of what, and the kernel's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation} {object}: {}", self.cause())]
pub struct KernelError {
    /// The operation in the manual's words, for example `BPF_PROG_LOAD` or `RTM_SETLINK`.
    pub operation: String,
    /// What it was done to: a program, map, interface or path by name.
    pub object: String,
    /// The error number, positive. 524 is the kernel-internal `ENOTSUPP`.
    pub errno: i32,
    /// The kernel's own sentence where it gave one: netlink extack, tracepoint text.
    pub message: Option<String>,
    /// The verifier's log, whole, for program loads.
    pub log: Option<String>,
}

impl KernelError {
    /// The kernel's sentence if it gave one, else the last telling line of the verifier's log, else
    /// the error number's text; always with the errno's name.
    #[must_use]
    pub fn cause(&self) -> String {
        let number = errno_name(self.errno);
        match (&self.message, self.log.as_deref().and_then(telling_line)) {
            (Some(message), _) => format!("{message} ({number})"),
            (None, Some(line)) => format!("{line} ({number})"),
            (None, None) => format!("{} ({number})", errno_text(self.errno)),
        }
    }
}

/// The line of a verifier log that says why: the last one that is not statistics.
fn telling_line(log: &str) -> Option<&str> {
    log.lines().rev().map(str::trim).find(|l| {
        !l.is_empty()
            && !l.starts_with("processed ")
            && !l.starts_with("verification time ")
            && !l.starts_with("stack depth ")
    })
}

/// The symbolic name of an error number (`EBUSY`), with `ENOTSUPP` for 524, else the number.
#[must_use]
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        7 => "E2BIG",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        19 => "ENODEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        24 => "EMFILE",
        28 => "ENOSPC",
        30 => "EROFS",
        34 => "ERANGE",
        38 => "ENOSYS",
        40 => "ELOOP",
        67 => "ENOLINK",
        74 => "EBADMSG",
        95 => "EOPNOTSUPP",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        116 => "ESTALE",
        524 => "ENOTSUPP",
        n => return format!("errno {n}"),
    };
    name.to_owned()
}

/// The text of an error number, also for `ENOTSUPP`, which the C library does not know.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    if errno == 524 {
        return "Operation is not supported".to_owned();
    }
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A program ready for `BPF_PROG_LOAD`. Maps are already descriptors in the instructions.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec<'a> {
    /// `prog_name`: at most 15 bytes are kept.
    pub name: String,
    /// `enum bpf_prog_type`: 6 is XDP, 3 is SCHED_CLS.
    pub kind: u32,
    /// `enum bpf_attach_type`: 37 for `BPF_XDP`.
    pub expected_attach_type: u32,
    /// Instruction slots.
    pub insns: &'a [Insn],
    /// Licence string.
    pub license: String,
    /// `prog_flags`: `BPF_F_XDP_HAS_FRAGS` 1<<5, `BPF_F_XDP_DEV_BOUND_ONLY` 1<<6.
    pub flags: u32,
    /// `prog_ifindex`: the device for device-bound or offloaded programs, else 0.
    pub ifindex: u32,
    /// BTF object to refer to, with func and line info in the kernel's record layout.
    pub btf: Option<BorrowedFd<'a>>,
    /// `struct bpf_func_info` records, 8 bytes each, raw.
    pub func_info: &'a [u8],
    /// `struct bpf_line_info` records, 16 bytes each, raw.
    pub line_info: &'a [u8],
    /// Descriptors of module BTF objects that kfunc calls index into.
    pub fd_array: Vec<i32>,
    /// 0 none, 1 on failure text only, 2 everything, plus 4 for statistics.
    pub log_level: u32,
}

/// A map for `BPF_MAP_CREATE`.
#[derive(Clone, Debug, Default)]
pub struct MapSpec<'a> {
    /// Name: at most 15 bytes are kept.
    pub name: String,
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes per key.
    pub key_size: u32,
    /// Bytes per value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// NUMA node (sets `BPF_F_NUMA_NODE`).
    pub numa_node: Option<u32>,
    /// Template for maps of maps.
    pub inner: Option<BorrowedFd<'a>>,
    /// BTF object with key and value type ids.
    pub btf: Option<(BorrowedFd<'a>, u32, u32)>,
    /// `map_ifindex` for offloaded maps, else 0.
    pub ifindex: u32,
}

/// `enum bpf_cmd` ids that iterate and open objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// Programs.
    Program,
    /// Maps.
    Map,
    /// BTF objects.
    Btf,
    /// Links.
    Link,
}

/// What `BPF_OBJ_GET_INFO_BY_FD` says of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramInfo {
    /// Program id.
    pub id: u32,
    /// `enum bpf_prog_type`.
    pub kind: u32,
    /// Name; the full function name where BTF has it.
    pub name: String,
    /// Tag, 16 hexadecimal digits.
    pub tag: String,
    /// Ids of the maps it uses.
    pub map_ids: Vec<u32>,
    /// BTF object id, 0 if none.
    pub btf_id: u32,
    /// Whether the licence is GPL-compatible.
    pub gpl_compatible: bool,
    /// Nanoseconds since boot when it was loaded.
    pub load_time_ns: u64,
    /// User that loaded it.
    pub created_by_uid: u32,
    /// Bytes of JIT image; 0 when interpreted or not shown.
    pub jited_bytes: u32,
    /// Instructions after the verifier.
    pub xlated_insns: u32,
    /// Instructions the verifier processed.
    pub verified_insns: u32,
    /// Device for offloaded programs, else 0.
    pub ifindex: u32,
    /// Run time and count where `kernel.bpf_stats_enabled` is on.
    pub run_time_ns: u64,
    /// See [`ProgramInfo::run_time_ns`].
    pub run_count: u64,
}

/// What `BPF_OBJ_GET_INFO_BY_FD` says of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapInfo {
    /// Map id.
    pub id: u32,
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Name, at most 15 bytes.
    pub name: String,
    /// Bytes per key.
    pub key_size: u32,
    /// Bytes per value (one CPU's, for per-CPU maps).
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// Creation flags.
    pub flags: u32,
    /// BTF object id, 0 if none.
    pub btf_id: u32,
    /// BTF type id of the key within it.
    pub btf_key_type_id: u32,
    /// BTF type id of the value within it.
    pub btf_value_type_id: u32,
    /// Device for offloaded maps, else 0.
    pub ifindex: u32,
}

/// What `BPF_OBJ_GET_INFO_BY_FD` says of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Link id.
    pub id: u32,
    /// `enum bpf_link_type`: 6 is XDP, 11 is TCX.
    pub kind: u32,
    /// Program it runs.
    pub program_id: u32,
    /// Interface; 0 when the device is gone ("defunct").
    pub ifindex: u32,
    /// Attach type for TCX links.
    pub attach_type: u32,
}

/// `XDP_FLAGS_*` of `linux/if_link.h` that choose the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// `XDP_FLAGS_SKB_MODE` (2).
    Generic,
    /// `XDP_FLAGS_DRV_MODE` (4).
    Native,
    /// `XDP_FLAGS_HW_MODE` (8).
    Hardware,
}

impl XdpMode {
    /// The `XDP_FLAGS_*` bit.
    #[must_use]
    pub const fn flag(self) -> u32 {
        match self {
            Self::Generic => 2,
            Self::Native => 4,
            Self::Hardware => 8,
        }
    }
}

/// What must be true of the slot for a netlink attach to go through.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// The slot must be empty (`XDP_FLAGS_UPDATE_IF_NOEXIST`).
    Empty,
    /// This program must be there (`XDP_FLAGS_REPLACE` with `IFLA_XDP_EXPECTED_FD`).
    Program(BorrowedFd<'a>),
    /// Anything: replaces whatever is there. Only on the user's explicit word.
    Anything,
}

/// Result of `BPF_PROG_TEST_RUN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// Return value of the program.
    pub verdict: u32,
    /// The packet afterwards (empty when none was asked for).
    pub data: Vec<u8>,
    /// Mean nanoseconds per run, as the kernel averages it.
    pub duration_ns: u32,
}

/// Input of `BPF_PROG_TEST_RUN`.
#[derive(Clone, Debug, Default)]
pub struct TestRunSpec<'a> {
    /// The frame.
    pub data: &'a [u8],
    /// `struct xdp_md` or `struct __sk_buff`, raw; empty for none.
    pub context: &'a [u8],
    /// How often to run.
    pub repeat: u32,
    /// `BPF_F_TEST_XDP_LIVE_FRAMES` (1<<1): verdicts are carried out.
    pub live_frames: bool,
    /// Frames per batch with live frames; 0 for the kernel's default of 64.
    pub batch: u32,
}

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

    /// Raw vmlinux BTF (`/sys/kernel/btf/vmlinux`); `None` where the kernel has none.
    ///
    /// # Errors
    /// Why it could not be read.
    fn kernel_btf(&self) -> Result<Option<Vec<u8>>, KernelError>;

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

    /// Removes a directory of pins with everything below it. Absent is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn remove_directory(&self, path: &Path) -> Result<(), KernelError>;
}

/// Program ids in the XDP slots of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpSlots {
    /// In the NIC (`IFLA_XDP_HW_PROG_ID`).
    pub hardware: Option<u32>,
    /// In the driver (`IFLA_XDP_DRV_PROG_ID`).
    pub native: Option<u32>,
    /// In the core (`IFLA_XDP_SKB_PROG_ID`).
    pub generic: Option<u32>,
}

impl XdpSlots {
    /// The program in one slot.
    #[must_use]
    pub const fn of(&self, mode: XdpMode) -> Option<u32> {
        match mode {
            XdpMode::Hardware => self.hardware,
            XdpMode::Native => self.native,
            XdpMode::Generic => self.generic,
        }
    }
}
