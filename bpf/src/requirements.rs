//! What a module needs, in the vocabulary that capabilities use, so that checking is a subtraction.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::module::SourceLine;

/// One thing a program may need from an engine.
///
/// The same type names what an engine offers (`Capabilities` in hoist-offload), so requirement and
/// capability are compared for equality, except [`Need::Limit`] and [`Need::Isa`], which are ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "need", content = "of")]
pub enum Need {
    /// An ability with a name.
    Feature(Feature),
    /// A helper function, by number (`enum bpf_func_id`).
    Helper(u32),
    /// A kernel function, by name.
    Kfunc(String),
    /// A map type (`enum bpf_map_type`).
    MapType(u32),
    /// Map creation flags (`BPF_F_*`), one requirement per flag bit.
    MapFlag(u32),
    /// A number that must not exceed the engine's limit.
    Limit(LimitKind, u64),
    /// Instruction set version: 1, 2, 3 or 4 as in clang's `-mcpu`.
    Isa(u8),
    /// A field of the XDP context that is read.
    ContextField(ContextField),
}

/// Abilities that are either there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// May return `XDP_TX`.
    Tx,
    /// May return `XDP_REDIRECT`, by `bpf_redirect` or `bpf_redirect_map`.
    Redirect,
    /// Moves the start of the frame (`bpf_xdp_adjust_head`).
    AdjustHead,
    /// Moves the end of the frame (`bpf_xdp_adjust_tail`).
    AdjustTail,
    /// Uses metadata before the frame (`data_meta`, `bpf_xdp_adjust_meta`).
    Metadata,
    /// Declares that it handles multi-buffer frames (`BPF_F_XDP_HAS_FRAGS`).
    Frags,
    /// Writes packet bytes directly.
    PacketWrite,
    /// Calls `bpf_tail_call`.
    TailCall,
    /// Calls subprograms (`BPF_PSEUDO_CALL`).
    BpfToBpfCall,
    /// Tail calls from within subprograms, or alongside them.
    TailCallInSubprogram,
    /// Passes functions as callbacks (`bpf_loop`, `bpf_for_each_map_elem`, timers).
    Callback,
    /// Uses global data (`.rodata`, `.data`, `.bss`).
    GlobalData,
    /// Atomic add without fetch (`BPF_XADD`).
    AtomicAdd,
    /// Other atomics: fetch variants, and, or, xor, exchange, compare-and-exchange.
    AtomicFull,
    /// Jumps backwards.
    Loop,
    /// Stores directly to map values.
    MapValueWrite,
    /// Needs a device-bound load (`BPF_F_XDP_DEV_BOUND_ONLY`), for receive metadata kfuncs.
    DeviceBound,
    /// Is attached to a devmap entry (`BPF_XDP_DEVMAP`), not to an interface.
    DevmapProgram,
    /// Is attached to a cpumap entry (`BPF_XDP_CPUMAP`), not to an interface.
    CpumapProgram,
    /// Declares a GPL-compatible licence that GPL-only helpers demand.
    GplOnlyHelper,
    /// Needs the target kernel's BTF: CO-RE relocations, kernel symbols or kfuncs.
    KernelBtf,
    /// Carries BTF that must be loaded with the program (spin locks, global functions, callbacks).
    ProgramBtf,
}

/// Numbers with limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Instruction slots of the program with its subprograms.
    Instructions,
    /// Bytes of stack of the deepest call chain.
    StackBytes,
    /// Nested bpf-to-bpf calls, the entry included.
    CallDepth,
    /// Entries of the largest map.
    MapEntries,
    /// Bytes of the largest key.
    KeyBytes,
    /// Bytes of the largest value.
    ValueBytes,
    /// Memory of all maps, estimated, in bytes.
    MapBytes,
}

/// Fields of `struct xdp_md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextField {
    /// Offset 0.
    Data,
    /// Offset 4.
    DataEnd,
    /// Offset 8.
    DataMeta,
    /// Offset 12.
    IngressIfindex,
    /// Offset 16.
    RxQueueIndex,
    /// Offset 20; only programs attached to devmap entries may read it.
    EgressIfindex,
}

/// Whether the program cannot run without the thing, or can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Loading or running needs it: a missing capability refuses the program.
    Must,
    /// Some path may use it (a verdict computed at run time): reported, never refuses.
    May,
}

/// One requirement with the places that cause it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What is needed.
    pub need: Need,
    /// Must or may.
    pub strength: Strength,
    /// Where in the program; empty for requirements of the module as a whole.
    pub sites: Vec<Site>,
    /// The map concerned, for map requirements.
    pub map: Option<String>,
}

/// One place in a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The function's name.
    pub function: String,
    /// Instruction slot from the start of that function, as `llvm-objdump -d` counts them.
    pub insn: u32,
    /// Source line, where the object has line information.
    pub line: Option<SourceLine>,
}

/// Everything a program needs, sorted by [`Need`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// The list; at most one entry for each pair of need and map.
    pub items: Vec<Requirement>,
}

impl Requirements {
    /// The entry for a need, if the program has it.
    #[must_use]
    pub fn get(&self, need: &Need) -> Option<&Requirement> {
        self.items.iter().find(|r| r.need == *need)
    }

    /// Whether the program needs (or may use) a feature.
    #[must_use]
    pub fn uses(&self, feature: Feature) -> bool {
        self.get(&Need::Feature(feature)).is_some()
    }

    /// The largest value demanded of a limit, 0 if none is.
    #[must_use]
    pub fn demand(&self, kind: LimitKind) -> u64 {
        self.items
            .iter()
            .filter_map(|r| match r.need {
                Need::Limit(k, value) if k == kind => Some(value),
                _ => None,
            })
            .max()
            .unwrap_or(0)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.function, self.insn)?;
        if let Some(line) = &self.line {
            write!(f, " ({}:{})", line.file, line.line)?;
        }
        Ok(())
    }
}
