//! What a card takes, as far as a program can be rewritten to fit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::analysis;
use crate::insn::Insn;

/// What a card's instruction set and maps take.
///
/// Only what lowering can do something about is here; whatever else a card refuses (helpers, context
/// fields, verdicts) is for its profile to say of the lowered program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The highest instruction set version taken, 1 to 4 as in clang's `-mcpu`.
    pub isa: u8,
    /// Operation codes that the version has and the card has not: the whole first byte of the
    /// instruction, operand and size bits included.
    pub without: BTreeSet<u8>,
    /// Atomic instructions on map values.
    pub atomics: Atomics,
    /// Calls of subprograms.
    pub calls: bool,
    /// How much stack there is for their frames; `None` where it is not known, or enough.
    pub stack: Option<FrameStack>,
    /// Jumps backwards.
    pub loops: bool,
    /// Global data: addresses in the value of a map, loaded without a lookup.
    pub global_data: bool,
    /// Addresses in the value of a map at offsets that are not constant, or handed to helpers.
    pub value_pointers: bool,
    /// Stores to the values of maps.
    pub map_stores: bool,
    /// Per-CPU arrays and hashes.
    pub per_cpu_maps: bool,
    /// LRU hashes.
    pub lru_maps: bool,
    /// Creation flags of maps (`BPF_F_*`).
    pub map_flags: u32,
    /// Instruction slots up to which code may be repeated: by inlining calls and unrolling loops.
    pub most_slots: usize,
    /// Codes of differences that the user accepts (`--accept`).
    pub accept: BTreeSet<String>,
    /// Sizes that the user gives to maps, by name.
    pub max_entries: BTreeMap<String, u32>,
}

/// A card's stack, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameStack {
    /// All there is, for the frames of the deepest chain of calls.
    pub most: u32,
    /// What each frame is rounded up to a multiple of.
    pub frame_bytes: u32,
    /// What a subprogram's frame takes besides its own.
    pub call_bytes: u32,
    /// And where it writes one of `r6` to `r9`.
    pub register_bytes: u32,
}

/// Which atomic instructions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Atomics {
    /// None.
    None,
    /// Addition of four or eight bytes that does not return what was there.
    Add,
    /// All of them.
    All,
}

impl Target {
    /// Takes whatever the host's kernel takes: nothing is rewritten.
    #[must_use]
    pub fn host() -> Self {
        Self {
            isa: 4,
            without: BTreeSet::new(),
            atomics: Atomics::All,
            calls: true,
            stack: None,
            loops: true,
            global_data: true,
            value_pointers: true,
            map_stores: true,
            per_cpu_maps: true,
            lru_maps: true,
            map_flags: u32::MAX,
            most_slots: 1_000_000,
            accept: BTreeSet::new(),
            max_entries: BTreeMap::new(),
        }
    }

    /// Whether the instruction's version and operation code are taken.
    #[must_use]
    pub fn takes(&self, insn: Insn) -> bool {
        analysis::isa_version(insn) <= self.isa && !self.without.contains(&insn.code)
    }
}
