//! What lowering tells of what it did and could not do.

use std::fmt;

use serde::Serialize;

use crate::module::Map;
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
}

impl Rewrite {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 3] = [Self::Entries, Self::MapFlags, Self::LruToHash];

    /// Its name as JSON has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::MapFlags => "map-flags",
            Self::LruToHash => "lru-to-hash",
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

    pub(super) fn map_problem(&mut self, problem: Problem, map: &Map) {
        self.problems.push(Problem { map: Some(map.name.clone()), ..problem });
    }
}
