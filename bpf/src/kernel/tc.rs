//! TC ingress without tcx: what is known of the filters of a clsact qdisc.

use serde::{Deserialize, Serialize};

/// `ETH_P_ALL`: a filter of this protocol sees every frame.
pub const EVERY_PROTOCOL: u16 = 3;

/// `TCA_CLS_FLAGS_SKIP_HW`: the host runs it, and no NIC is asked to.
pub const SKIP_HW: u32 = 1;
/// `TCA_CLS_FLAGS_SKIP_SW`: the NIC runs it, and the host does not.
pub const SKIP_SW: u32 = 2;
/// `TCA_CLS_FLAGS_IN_HW`, which the kernel says of a filter that the NIC took.
pub const IN_HW: u32 = 4;
/// `TCA_CLS_FLAGS_NOT_IN_HW`.
pub const NOT_IN_HW: u32 = 8;

/// What the door says to a NIC's program at a tcx hook; the kernel itself would take it.
pub(super) const OFFLOADED_AT_TCX: &str =
    "the program was loaded for a NIC, and tcx runs programs on the host";

/// Which filter of clsact ingress (chain 0, every protocol): the key under which one is added,
/// replaced and removed. Neither number may be 0, which the kernel takes for "any".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct FilterKey {
    /// `prio` of tc(8): 1 runs first.
    pub priority: u16,
    /// `handle` of tc(8): tells the filters of one priority apart. It says nothing of the order in
    /// which they run: within a priority the one added last runs first.
    pub handle: u32,
}

impl std::fmt::Display for FilterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "filter prio {} handle {:#x}", self.priority, self.handle)
    }
}

/// One filter of a clsact (or ingress) qdisc, of whatever kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Where it is.
    pub key: FilterKey,
    /// The classifier's kind in the kernel's words: `bpf`, `flower`, `matchall`, `u32` ...
    pub kind: String,
    /// `ETH_P_*` it applies to, in host byte order; 3 is every protocol.
    pub protocol: u16,
    /// Chain: filters of other chains than 0 run only when an action goes to them.
    pub chain: u32,
    /// Program id, for the kind `bpf`; absent also for the classic BPF filters of that kind.
    pub program_id: Option<u32>,
    /// The name a `bpf` filter was given, for example `prog.o:[section]`.
    pub name: Option<String>,
    /// Program tag, 16 hexadecimal digits.
    pub tag: Option<String>,
    /// Whether the program's return code is the action (`direct-action`, `da`).
    pub direct_action: bool,
    /// `TCA_CLS_FLAGS_*`: 1 skip_hw, 2 skip_sw, 4 in_hw, 8 not_in_hw.
    pub flags: u32,
}
