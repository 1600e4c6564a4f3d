//! What lowering tells of what it did and could not do.

use std::fmt;

use serde::Serialize;

use crate::module::{Function, Inst, Map, Module};
use crate::requirements::Site;

/// Kinds of rewriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// The user's size for a map.
    Entries,
    /// A map's creation flags that mean nothing on a card were dropped.
    MapFlags,
    /// An LRU hash became a hash.
    LruToHash,
    /// A load of a constant became the constant.
    Constant,
    /// A load from a table of constants, indexed by a variable, became comparisons.
    Table,
    /// Code that constants switch off was removed.
    DeadCode,
    /// The code of a subprogram took the place of a call.
    Inline,
    /// A loop was written out as often as it runs.
    Loop,
    /// A global variable is reached by a lookup in an array of one entry.
    Global,
    /// A word that is loaded, added to and stored became an atomic addition.
    Counter,
    /// Stores to a map's value became an update of the whole value.
    MapUpdate,
    /// A per-CPU map, whose words are only added to, became one that all share.
    SharedCounters,
    /// An atomic addition no longer returns what was there, which nobody used.
    Fetch,
    /// An instruction of a later version of the instruction set, or one that the card has not, became
    /// others.
    Instruction,
}

impl Rewrite {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 14] = [
        Self::Entries,
        Self::MapFlags,
        Self::LruToHash,
        Self::Constant,
        Self::Table,
        Self::DeadCode,
        Self::Inline,
        Self::Loop,
        Self::Global,
        Self::Counter,
        Self::MapUpdate,
        Self::SharedCounters,
        Self::Fetch,
        Self::Instruction,
    ];

    /// Its name as JSON has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::MapFlags => "map-flags",
            Self::LruToHash => "lru-to-hash",
            Self::Constant => "constant",
            Self::Table => "table",
            Self::DeadCode => "dead-code",
            Self::Inline => "inline",
            Self::Loop => "loop",
            Self::Global => "global",
            Self::Counter => "counter",
            Self::MapUpdate => "map-update",
            Self::SharedCounters => "shared-counters",
            Self::Fetch => "fetch",
            Self::Instruction => "instruction",
        }
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that was rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of rewriting.
    pub rewrite: Rewrite,
    /// One sentence: what was there and what is there now.
    pub message: String,
    /// The instruction in the object file, and its source line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// The map concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

/// Something the card does not take and that cannot be rewritten without changing its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable kebab-case code, documented in docs/refusals.md.
    pub code: &'static str,
    /// One sentence: what the card does not take, and why it cannot be rewritten.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The instruction in the object file, and its source line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// The map concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

impl Problem {
    /// One that is about no place and no map yet.
    pub(super) fn new(code: &'static str, message: String, remedy: &str) -> Self {
        Self { code, message, remedy: remedy.to_owned(), site: None, map: None }
    }

    /// The same, at a place.
    pub(super) fn at(self, site: Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// The same, about a map.
    pub(super) fn of(self, map: &Map) -> Self {
        Self { map: Some(map.name.clone()), ..self }
    }
}

/// Changes and problems in the making.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) changes: Vec<Change>,
    pub(super) problems: Vec<Problem>,
}

impl Report {
    pub(super) fn map_changed(&mut self, rewrite: Rewrite, map: &Map, message: String) {
        self.changes.push(Change { rewrite, message, site: None, map: Some(map.name.clone()) });
    }

    pub(super) fn code_changed(&mut self, rewrite: Rewrite, site: Site, message: String) {
        self.changes.push(Change { rewrite, message, site: Some(site), map: None });
    }
}

/// Where an instruction stood in the object file.
pub(super) fn site(module: &Module, function: &Function, inst: &Inst) -> Site {
    let line = inst.line.and_then(|l| module.lines.get(l as usize)).filter(|l| l.line > 0);
    let insn = inst.origin.unwrap_or_else(|| {
        // Code that a pass made up: where it stands now.
        let before = function.code.iter().take_while(|other| other.id != inst.id);
        before.map(Inst::slots).sum::<usize>() as u32
    });
    Site { function: function.name.clone(), insn, line: line.cloned() }
}
