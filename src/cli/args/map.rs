//! Arguments of `hoist map`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::Interval;

/// What every map command's `--help` ends with.
const SELECTORS: &str = "\
A map is named by one of
  IF/NAME        a map of a program attached to an interface: eth0/blocked
  id N           its kernel id
  name N         its name, where only one map has it
  pinned PATH    a path on a bpffs

Keys and values are read and printed by their BTF type: 10, 0x1f, 192.0.2.1, 2001:db8::1,
02:00:00:00:00:01, {\"addr\": \"192.0.2.1\", \"prefix\": 24}, [1, 2]. Without BTF they are bytes in
hexadecimal: 0x0a000001. A per-CPU map takes one value for all CPUs, or a list with one for each.";

/// `hoist map`.
#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// List maps: of attached programs, or all
    #[command(visible_alias = "show")]
    List(MapList),
    /// Print all entries, in the form that --maps FILE reads
    #[command(override_usage = "hoist map dump [OPTIONS] MAP", after_long_help = SELECTORS)]
    Dump(MapTarget),
    /// Print the value of a key
    #[command(visible_alias = "lookup", override_usage = "hoist map get [OPTIONS] MAP KEY", after_long_help = SELECTORS)]
    Get(MapTarget),
    /// Insert or replace an entry
    #[command(visible_alias = "update", override_usage = "hoist map set [OPTIONS] MAP KEY VALUE", after_long_help = SELECTORS)]
    Set(MapTarget),
    /// Delete an entry
    #[command(override_usage = "hoist map delete [OPTIONS] MAP KEY", after_long_help = SELECTORS)]
    Delete(MapTarget),
    /// Print entries as they change
    #[command(override_usage = "hoist map watch [OPTIONS] MAP [KEY]", after_long_help = SELECTORS)]
    Watch(MapWatch),
}

/// `hoist map list`.
#[derive(Debug, Args)]
pub(crate) struct MapList {
    /// Interfaces whose programs' maps to list; without any: every map there is
    #[arg(value_name = "IF")]
    pub interfaces: Vec<String>,
}

/// A map, and what the command needs besides.
#[derive(Debug, Args)]
pub(crate) struct MapTarget {
    /// The map (IF/NAME, id N, name N or pinned PATH), then key and value as the usage shows
    #[arg(value_name = "MAP", required = true, num_args = 1.., allow_negative_numbers = true)]
    pub words: Vec<String>,
}

/// `hoist map watch`.
#[derive(Debug, Args)]
pub(crate) struct MapWatch {
    /// The map (IF/NAME, id N, name N or pinned PATH), and a key to watch only that entry
    #[arg(value_name = "MAP", required = true, num_args = 1..)]
    pub words: Vec<String>,
    /// Time between looks
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Stop after this long
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<Interval>,
}

/// How a map is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MapSelector {
    /// Kernel id.
    Id(u32),
    /// Name, where it is the only one.
    Name(String),
    /// A pin.
    Pinned(PathBuf),
    /// A map of a program attached to an interface.
    Attached {
        /// The interface.
        interface: String,
        /// The map.
        name: String,
    },
}

/// Why words do not name a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    /// Nothing there to read.
    #[error("'{0}' names no map")]
    NotAMap(String),
    /// `id`, `name` or `pinned` without its word.
    #[error("'{0}' needs a word after it")]
    Incomplete(String),
    /// `id` with something else than a number.
    #[error("'{0}' is not a map id")]
    NotAnId(String),
}

impl MapSelector {
    /// Reads a selector from the front of `words`; returns it with the words after it.
    ///
    /// # Errors
    /// Why the words name no map.
    pub(crate) fn split(words: &[String]) -> Result<(Self, &[String]), SelectorError> {
        let (first, rest) = words.split_first().ok_or(SelectorError::NotAMap(String::new()))?;
        if let word @ ("id" | "name" | "pinned") = first.as_str() {
            let (value, rest) =
                rest.split_first().ok_or_else(|| SelectorError::Incomplete(first.clone()))?;
            let selector = match word {
                "id" => Self::Id(value.parse().map_err(|_| SelectorError::NotAnId(value.clone()))?),
                "name" => Self::Name(value.clone()),
                _ => Self::Pinned(PathBuf::from(value)),
            };
            return Ok((selector, rest));
        }
        match first.split_once('/') {
            Some(("", _)) => Ok((Self::Pinned(PathBuf::from(first)), rest)),
            Some((interface, name)) if !name.is_empty() => Ok((
                Self::Attached { interface: interface.to_owned(), name: name.to_owned() },
                rest,
            )),
            _ => Err(SelectorError::NotAMap(first.clone())),
        }
    }
}

impl std::fmt::Display for MapSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "map id {id}"),
            Self::Name(name) => write!(f, "map '{name}'"),
            Self::Pinned(path) => write!(f, "map pinned at {}", path.display()),
            Self::Attached { interface, name } => write!(f, "map '{name}' on {interface}"),
        }
    }
}
