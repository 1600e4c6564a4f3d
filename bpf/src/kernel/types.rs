//! What is given to, and said by, the kernel: specifications and facts of BPF objects.

use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use crate::insn::Insn;

/// The entries of a map: raw keys and values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

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
    /// Bytes of log to ask for from the first attempt on, where a refusal is expected and its reason
    /// short. 0: the log is asked for after a refusal only.
    pub log_bytes: usize,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// Attach type for TCX and tracing links.
    pub attach_type: u32,
    /// For tracing links (kind 2, which replacements of functions are too): id of the program or BTF
    /// object they are attached to.
    pub target_id: u32,
    /// For tracing links: BTF type id of the function they are attached to.
    pub target_btf_id: u32,
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
    /// The context afterwards, as much of it as was asked for and the kernel gives.
    pub context: Vec<u8>,
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
    /// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE` (1<<2, Linux 6.17): the buffer comes with the sum of its
    /// bytes, as from a NIC, and the run fails with `EBADMSG` where the program changed bytes
    /// without accounting for them.
    pub checksum_complete: bool,
    /// Bytes of the context wanted back; 0 for none. `struct __sk_buff` has 192, `struct xdp_md` 24.
    pub context_out: usize,
    /// Lets another thread end the run.
    pub interrupt: Option<&'a super::Interrupt>,
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
