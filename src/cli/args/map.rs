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

/// What `hoist map copy --help` ends with.
const COPYING: &str = "\
SRC and DST are named as with the other map commands: IF/NAME, id N, name N or pinned PATH. Keys and
values must have the same sizes. Whatever does not match or does not fit is told before anything is
written. Entries that a program changes while they are copied may be copied as they were.

Examples:
  hoist map copy eth0/flows eth1/flows                  between two programs
  hoist map copy eth0/rules /sys/fs/bpf/new --exact     afterwards DST holds what SRC holds
  hoist map copy eth0/packets id 42 --counters          a NIC's counters to those of the host's CPUs";

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
    /// Copy all entries of one map into another: of another program, engine or NIC
    #[command(override_usage = "hoist map copy [OPTIONS] SRC DST", after_long_help = COPYING)]
    Copy(MapCopy),
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

/// `hoist map copy`.
#[derive(Debug, Args)]
pub(crate) struct MapCopy {
    /// The map to read, and the one to write
    #[arg(value_name = "MAP", required = true, num_args = 2..)]
    pub words: Vec<String>,
    /// Remove what SRC has not; slots of an array become zero
    #[arg(long)]
    pub exact: bool,
    /// Values are counters: keep sums between a value for each CPU and one for all
    #[arg(
        long,
        long_help = "Values are counters: between a map with a value for each CPU and one with one \
                     for all, their sums are kept. A NIC's maps have one value. To the host, the \
                     first CPU gets it; from the host, the integers of all CPUs are added up."
    )]
    pub counters: bool,
    /// Do not read DST again to compare
    #[arg(long)]
    pub no_verify: bool,
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
