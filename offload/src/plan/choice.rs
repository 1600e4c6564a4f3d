//! Which engines may be used: every one, or those that were asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineKind, Hook};

/// Which engines may be used, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// Every registered engine, best first.
    #[default]
    Auto,
    /// These, in this order. A single one means that one or a refusal.
    Listed(Vec<Wanted>),
}

impl Choice {
    /// One engine and no other.
    pub fn only(wanted: impl Into<Wanted>) -> Self {
        Self::Listed(vec![wanted.into()])
    }

    /// These, in this order.
    pub fn listed<W: Into<Wanted>>(wanted: impl IntoIterator<Item = W>) -> Self {
        Self::Listed(wanted.into_iter().map(Into::into).collect())
    }

    /// Whether one engine was asked for and no other, so that its differences are warnings.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        matches!(self, Self::Listed(wanted) if wanted.len() == 1)
    }
}

/// An engine that is asked for: by its kind, or by its kind at one hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wanted {
    /// The kind.
    pub kind: EngineKind,
    /// The only hook that will do; `None` leaves it to the first that is usable.
    pub hook: Option<Hook>,
}

impl Wanted {
    /// A kind of engine at one hook only.
    #[must_use]
    pub const fn at(kind: EngineKind, hook: Hook) -> Self {
        Self { kind, hook: Some(hook) }
    }

    /// Whether an engine is what was asked for.
    pub fn means(&self, engine: &dyn Engine) -> bool {
        engine.kind() == self.kind && self.hook.is_none_or(|hook| engine.hook() == hook)
    }
}

impl From<EngineKind> for Wanted {
    fn from(kind: EngineKind) -> Self {
        Self { kind, hook: None }
    }
}

/// The word that asks for it: `tcx` and `clsact` are hooks of one kind, as are `af_xdp` and `af_packet`,
/// and `hw-clsact` is the second of `hw`.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hook {
            Some(Hook::Clsact) if self.kind == EngineKind::Hw => f.pad("hw-clsact"),
            Some(hook @ (Hook::Tcx | Hook::Clsact | Hook::AfXdp | Hook::AfPacket)) => {
                f.pad(hook.name())
            }
            _ => f.pad(self.kind.name()),
        }
    }
}

/// Accepts what [`EngineKind`] does; `tcx`, `clsact`, `hw-clsact`, `af_xdp` and `af_packet` ask for that hook.
impl FromStr for Wanted {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let kind = s.parse()?;
        Ok(match s {
            "tcx" => Self::at(kind, Hook::Tcx),
            "clsact" | "hw-clsact" => Self::at(kind, Hook::Clsact),
            "af_xdp" => Self::at(kind, Hook::AfXdp),
            "af_packet" => Self::at(kind, Hook::AfPacket),
            _ => Self::from(kind),
        })
    }
}
