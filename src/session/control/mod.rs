//! Programs of the user engine that other processes run: their counters and maps, from here.
//!
//! The engine lives in a process, so what asks the kernel about other engines asks that process here
//! (`hoist_fallback::userspace::control` has the way in). A question is a line of JSON, and so is
//! its answer.

use std::collections::BTreeMap;

use hoist_offload::Hook;
use hoist_offload::attach::{MapDef, Stats};
use serde::{Deserialize, Serialize};

mod client;
mod server;

pub use client::{RemoteMap, Run, runs};
pub use server::Server;

/// What is asked of a running engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Question {
    /// What it is.
    About,
    /// The BTF of its module, which types its maps.
    Types,
    /// A value.
    Lookup { map: String, key: Vec<u8> },
    /// A new value.
    Update { map: String, key: Vec<u8>, value: Vec<u8> },
    /// No entry.
    Delete { map: String, key: Vec<u8> },
    /// All entries.
    Entries { map: String },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    About(Box<About>),
    Types(Vec<u8>),
    Value(Option<Vec<u8>>),
    Done(bool),
    Entries(Vec<(Vec<u8>, Vec<u8>)>),
    /// It failed: with the kernel's number where it is one of its refusals.
    Failed {
        what: String,
        hint: Option<String>,
        errno: Option<i32>,
    },
}

/// What a running engine says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// The program's name.
    pub program: String,
    /// Where its frames come from.
    pub hook: Hook,
    /// Kernel id of the program that brings the frames, 0 for none.
    pub brought_by: u32,
    /// Verdicts, as of the last time it counted.
    pub stats: Stats,
    /// What happened off the plain path.
    pub events: BTreeMap<String, u64>,
    /// Its maps.
    pub maps: Vec<MapDef>,
}
