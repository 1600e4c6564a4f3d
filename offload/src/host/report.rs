//! What one host can do, each fact with its evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::Answer;
use crate::fact::{Evidence, Fact};

/// A three-valued answer with its evidence or reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Yes, no, unknown.
    pub answer: Answer,
    /// How it is known, or why not.
    pub evidence: Evidence,
}

impl Default for Finding {
    fn default() -> Self {
        Self { answer: Answer::Unknown, evidence: Evidence::assumed("not recorded") }
    }
}

/// Names of the program features in a report.
pub const FEATURES: [&str; 24] = [
    "atomics",
    "bounded-loops",
    "bpf-to-bpf-calls",
    "bpf2bpf-tail-calls",
    "btf-load",
    "callbacks",
    "cpumap-program",
    "dev-bound-only",
    "devmap-program",
    "freplace",
    "global-data",
    "isa-v2",
    "isa-v3",
    "isa-v4",
    "link-attach-failed",
    "live-frames",
    "million-insns",
    "netkit",
    "netlink-xdp",
    "ringbuf",
    "tcx",
    "test-run",
    "xdp-frags",
    "xdp-link",
];

/// The host report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostReport {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -v`: number and date of the build, and how it preempts. Empty where it was not read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// Possible CPUs.
    pub cpus: u32,
    /// `net.core.bpf_jit_enable`, `bpf_jit_harden` and the like, by sysctl name.
    pub jit: BTreeMap<String, Fact<i64>>,
    /// Whether `/sys/kernel/btf/vmlinux` exists, and its size in bytes.
    pub btf_bytes: Fact<u64>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Fact<i64>,
    /// Effective capabilities of this process that matter: `CAP_BPF`, `CAP_NET_ADMIN`, ...
    pub capabilities: BTreeMap<String, bool>,
    /// Whether the `bpf` system call is permitted to this process, and what would permit it.
    pub bpf_syscall: Finding,
    /// Program types by name (`xdp`, `sched_cls`, ...).
    pub program_types: BTreeMap<String, Finding>,
    /// Map types by name (`hash`, `array`, ...).
    pub map_types: BTreeMap<String, Finding>,
    /// Helpers of XDP programs by name.
    pub xdp_helpers: BTreeMap<String, Finding>,
    /// Helpers of SCHED_CLS programs by name.
    pub tc_helpers: BTreeMap<String, Finding>,
    /// kfuncs that bear on XDP and TC, by name: whether a program of the type they are meant for
    /// (SCHED_CLS for those on socket buffers, else XDP) may call them.
    pub kfuncs: BTreeMap<String, Finding>,
    /// Program features, by the names in [`FEATURES`].
    pub features: BTreeMap<String, Finding>,
}
