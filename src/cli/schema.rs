//! Documents for machines. Each has a schema under docs/schemas/; fields are only ever added.

use std::collections::BTreeMap;

use hoist_offload::attach::{Fault, Stats};
use hoist_offload::device::{Component, Device, Owner, Slot};
use hoist_offload::error::Refusal;
use hoist_offload::host::HostReport;
use hoist_offload::{Capabilities, EngineKind, Error, Hook, Verdict};
use serde::Serialize;

use super::failure::{Exit, Words};
use crate::session::Running;

/// `hoist.error.v1`: any command that ends badly.
#[derive(Debug, Serialize)]
pub(super) struct ErrorDocument<'a> {
    schema: &'static str,
    exit: u8,
    #[serde(flatten)]
    words: Words,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusals: Option<&'a [Refusal]>,
}

impl<'a> ErrorDocument<'a> {
    const SCHEMA: &'static str = "hoist.error.v1";

    /// An error that was told in words.
    pub(super) fn new(words: &Words, exit: Exit) -> Self {
        Self { schema: Self::SCHEMA, exit: exit as u8, words: words.clone(), refusals: None }
    }

    /// A program that no engine runs.
    pub(super) fn refused(words: &Words, refusals: &'a [Refusal]) -> Self {
        Self { refusals: Some(refusals), ..Self::new(words, Exit::Refused) }
    }
}

/// `hoist.probe.v1`.
#[derive(Debug, Serialize)]
pub(super) struct ProbeDocument<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// The host; absent when interfaces were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a HostReport>,
    /// Interfaces.
    pub devices: Vec<ProbedDevice<'a>>,
}

/// One interface of a probe.
#[derive(Debug, Serialize)]
pub(super) struct ProbedDevice<'a> {
    /// The snapshot.
    pub device: &'a Device,
    /// What each engine can do on it.
    pub engines: &'a [Capabilities],
}

/// One program that hoist attached.
#[derive(Debug, Serialize)]
pub(super) struct Attached {
    /// Interface.
    pub device: String,
    /// The engine in effect.
    pub engine: EngineKind,
    /// Where it attaches.
    pub hook: Hook,
    /// Name.
    pub program: String,
    /// Kernel id.
    pub id: u32,
    /// Kernel id of the link, if one holds it.
    pub link: Option<u32>,
}

impl Attached {
    /// Reads back what is in force.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub(super) fn of(running: &Running) -> Result<Self, Error> {
        let effective = running.attachment.effective()?;
        Ok(Self {
            device: running.plan.device.clone(),
            engine: effective.engine,
            hook: effective.hook,
            program: running.plan.program.clone(),
            id: effective.program_id,
            link: effective.link_id,
        })
    }
}

/// `hoist.load.v1`.
#[derive(Debug, Serialize)]
pub(super) struct LoadDocument<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// What is attached.
    pub attachments: Vec<Attached>,
    /// Why each runs where it runs.
    pub plans: Vec<&'a hoist_offload::Plan>,
}

/// `hoist.run.v1`: one line of the stream.
#[derive(Debug, Serialize)]
pub(super) struct RunLine<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// `started`, `counters`, `messages` or `totals`.
    pub event: &'static str,
    /// Time since the program was attached.
    pub elapsed_ms: u64,
    /// What runs, in `started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<Attached>>,
    /// Why, in `started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plans: Option<Vec<&'a hoist_offload::Plan>>,
    /// Counters, in `counters` and `totals`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<CounterLine>,
    /// What the program did that the verifier would have refused, in `totals` of the user engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What the program said by `bpf_trace_printk`, in `messages` of the user engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

impl RunLine<'_> {
    /// A line without anything in it.
    pub(super) const fn new(event: &'static str) -> Self {
        Self {
            schema: "hoist.run.v1",
            event,
            elapsed_ms: 0,
            attachments: None,
            plans: None,
            counters: Vec::new(),
            faults: Vec::new(),
            messages: Vec::new(),
        }
    }
}

/// Counters of one interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CounterLine {
    /// Interface.
    pub device: String,
    /// The engine in effect.
    pub engine: EngineKind,
    /// Whether verdicts are counted at all.
    pub counted: bool,
    /// Packets by verdict since the program was attached.
    pub packets: BTreeMap<&'static str, u64>,
    /// Bytes by verdict.
    pub bytes: BTreeMap<&'static str, u64>,
    /// What happened off the plain path, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<&'static str, u64>,
    /// Packets per second of all verdicts: in `counters` since the line before, in `totals` over
    /// the whole run.
    pub pps: f64,
}

/// Packets by verdict.
pub(super) fn packets(stats: &Stats) -> BTreeMap<&'static str, u64> {
    Verdict::ALL.iter().map(|v| (v.name(), stats.packets[*v as usize])).collect()
}

/// Bytes by verdict.
pub(super) fn bytes(stats: &Stats) -> BTreeMap<&'static str, u64> {
    Verdict::ALL.iter().map(|v| (v.name(), stats.bytes[*v as usize])).collect()
}

/// `hoist.unload.v1`.
#[derive(Debug, Serialize)]
pub(super) struct UnloadDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// What was taken off.
    pub detached: Vec<StatusRow>,
}

/// `hoist.status.v1`.
#[derive(Debug, Serialize)]
pub(super) struct StatusDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// Every attached program.
    pub attachments: Vec<StatusRow>,
    /// Interfaces with settings that are changed for programs of hoist's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adjusted: Vec<AdjustedRow>,
}

/// What is changed on one interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AdjustedRow {
    /// Interface.
    pub device: String,
    /// The settings.
    pub changes: Vec<hoist_offload::adjust::Change>,
}

/// One attached program, anybody's.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StatusRow {
    /// Interface.
    pub device: String,
    /// The engine that runs it.
    pub engine: EngineKind,
    /// Where it is attached.
    pub hook: Hook,
    /// The slot, which tells the directions of a hook apart; none behind a packet socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Name, where it may be read.
    pub program: Option<String>,
    /// Kernel id; of the user engine's, that of the program that brings it the frames, or 0.
    pub id: u32,
    /// Who holds it in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The process in which the user engine runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// The programs inside libxdp's dispatcher.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Packets by verdict since it was attached, where hoist counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<BTreeMap<&'static str, u64>>,
    /// Bytes by verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BTreeMap<&'static str, u64>>,
    /// What happened off the plain path, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
    /// The address of the interface that the program goes by, where that is no longer its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_address: Option<String>,
}

/// A map in a document.
#[derive(Debug, Serialize)]
pub(super) struct MapName {
    /// Kernel id.
    pub id: u32,
    /// Name.
    pub name: String,
}

/// `hoist.map-get.v1`, `hoist.map-set.v1`, `hoist.map-delete.v1`.
#[derive(Debug, Serialize)]
pub(super) struct EntryDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// Which map.
    pub map: MapName,
    /// The key.
    pub key: serde_json::Value,
    /// The value; absent after a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// `hoist.map-copy.v1`.
#[derive(Debug, Serialize)]
pub(super) struct CopyDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// The map that was read.
    pub from: CopiedMap,
    /// The map that was written.
    pub to: CopiedMap,
    /// What became of the values: `as-they-are`, `summed` or `first-cpu`.
    pub values: &'static str,
    /// Entries that were copied.
    pub entries: usize,
    /// Those whose key was not there before.
    pub new: usize,
    /// Entries that were removed because the other map has them not.
    pub removed: usize,
    /// What reading back showed; absent with `--no-verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_back: Option<crate::session::transfer::ReadBack>,
}

/// One side of a copy.
#[derive(Debug, Serialize)]
pub(super) struct CopiedMap {
    /// Kernel id; 0 for maps of the user engine.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Map type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `hoist.map-watch.v1`: one line of the stream.
#[derive(Debug, Serialize)]
pub(super) struct WatchLine {
    /// The schema's name.
    pub schema: &'static str,
    /// Time since the watch began.
    pub elapsed_ms: u64,
    /// Which map.
    pub map: MapName,
    /// `set` or `deleted`.
    pub event: &'static str,
    /// The key.
    pub key: serde_json::Value,
    /// The value, in `set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// `hoist.map-list.v1`.
#[derive(Debug, Serialize)]
pub(super) struct MapListDocument {
    /// The schema's name.
    pub schema: &'static str,
    /// Maps, by id.
    pub maps: Vec<MapRow>,
}

/// One map of the list.
#[derive(Debug, Serialize)]
pub(super) struct MapRow {
    /// Kernel id.
    pub id: u32,
    /// Name, as the kernel keeps it: at most 15 bytes.
    pub name: String,
    /// Map type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes per key.
    pub key_bytes: u32,
    /// Bytes per value (of one CPU).
    pub value_bytes: u32,
    /// Most entries.
    pub max_entries: u32,
    /// Whether values have a BTF type.
    pub typed: bool,
    /// `PROGRAM on IF` for each attached program that uses it.
    pub used_by: Vec<String>,
}

/// `hoist.demo.v1`.
#[derive(Debug, Serialize)]
pub(super) struct DemoDocument<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// `uname -r`.
    pub kernel: String,
    /// The plan for the program that is shown.
    pub plan: hoist_offload::Plan,
    /// One result per engine.
    pub results: &'a [super::demo::Measured],
    /// The comparison in words.
    pub comparison: Vec<String>,
}
