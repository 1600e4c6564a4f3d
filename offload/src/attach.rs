//! Running programs and their maps.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_bpf::module::SourceLine;
use serde::{Deserialize, Serialize};

use crate::adjust::Change;
use crate::engine::{EngineKind, Hook, Prepared, Verdict};
use crate::error::Error;
use crate::plan::Warning;

/// What the user allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachPolicy {
    /// Stay after the process ends: pin the link under this directory of a bpffs.
    pub keep: Option<PathBuf>,
    /// Replace the program with this id, and only that one (compare and swap); `None`: the slot must
    /// be empty.
    pub replace: Option<u32>,
}

/// A running program. Dropping it detaches, unless it was told to stay.
pub trait Attachment: Send + fmt::Debug {
    /// The engine in effect, re-read from the kernel, not remembered.
    ///
    /// # Errors
    /// The kernel could not be asked, or the program is no longer attached.
    fn effective(&self) -> Result<Effective, Error>;

    /// The engine that was asked for.
    fn engine(&self) -> EngineKind;

    /// The interface.
    fn ifindex(&self) -> u32;

    /// A map by name.
    fn map(&self, name: &str) -> Option<MapHandle>;

    /// Every map, in the module's order.
    fn maps(&self) -> Vec<MapHandle>;

    /// Verdict counters; `None` when the program was prepared without counting.
    ///
    /// # Errors
    /// The counters could not be read.
    fn stats(&self) -> Result<Option<Stats>, Error>;

    /// What happened off the plain path, by name, where the engine counts such events and they
    /// happened at all: frames dropped although the program passed them, for example.
    ///
    /// # Errors
    /// The counters could not be read.
    fn events(&self) -> Result<BTreeMap<&'static str, u64>, Error> {
        Ok(BTreeMap::new())
    }

    /// Tells an engine that goes by the interface's hardware address that it is another one now.
    ///
    /// # Errors
    /// The kernel's refusal; the program goes on with the address that it knows.
    fn readdress(&self, _address: [u8; 6]) -> Result<(), Error> {
        Ok(())
    }

    /// Settings of the device that were changed for the program.
    fn adjusted(&self) -> Vec<Change> {
        Vec::new()
    }

    /// What became worth knowing since the program was attached.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// What the program did that the verifier would have refused, where the engine runs it without
    /// one; in the order in which it first happened.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// What the program said by `bpf_trace_printk` since the last call, a line each, where the engine
    /// keeps that to itself: the kernel's engines write to its trace buffer.
    fn messages(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes every packet from now on to a capture file, as it came and as it left; `name` is the file's,
    /// for messages. It is whole after [`Attachment::detach`].
    ///
    /// # Errors
    /// The engine runs where packets cannot be written down, or the file cannot be written.
    fn record(&self, name: &str, _to: Box<dyn Write + Send>) -> Result<(), Error> {
        Err(Error::Input {
            what: format!("{name}: this engine keeps packets in the kernel"),
            hint: Some("the user engine has them written".to_owned()),
        })
    }

    /// Replaces the program without a gap in which no program runs. The new program must have been
    /// prepared by the same engine for the same device, and an engine checks that itself: a kernel
    /// may take a program bound to one device for another's.
    ///
    /// # Errors
    /// [`Error::Refused`] when someone else's program is there by now, or the new one was prepared
    /// for elsewhere, or the failure; the old program goes on running.
    fn replace(&mut self, next: Box<dyn Prepared>) -> Result<(), Error>;

    /// Detaches and says whether it worked; dropping does the same but cannot say.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn detach(self: Box<Self>) -> Result<(), Error>;

    /// Lets go of a program that was told to stay.
    fn release(self: Box<Self>);
}

/// Faults of one kind at one instruction: each frame was dropped and counted as aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable kebab-case code, documented in docs/refusals.md.
    pub code: String,
    /// The first of them in words.
    pub message: String,
    /// The function's name.
    pub function: String,
    /// Slot from its start, as disassembly counts.
    pub slot: u32,
    /// Source line, where the object has line information.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<SourceLine>,
    /// The frame that the first one happened on, counted from 1.
    pub first_packet: u64,
    /// How many there were.
    pub times: u64,
}

/// What the kernel says is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// The engine.
    pub engine: EngineKind,
    /// The hook.
    pub hook: Hook,
    /// Kernel id of the program.
    pub program_id: u32,
    /// Kernel id of the link, if a link holds it.
    pub link_id: Option<u32>,
}

/// Packets and bytes per verdict since the program was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// By verdict, in the order of [`Verdict::ALL`].
    pub packets: [u64; 5],
    /// Bytes by verdict, as the program saw the frames on entry, without FCS.
    pub bytes: [u64; 5],
}

impl Stats {
    /// Adds up over the CPUs what a program that was given counters
    /// ([`hoist_bpf::passes::count`]) keeps in its map of them.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn read(counters: &dyn MapOps) -> Result<Self, Error> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        let mut stats = Self::default();
        for (key, value) in counters.entries()? {
            let at = <[u8; 4]>::try_from(&key[..]).map_or(u32::MAX, u32::from_ne_bytes) as usize;
            let (Some(packets), Some(bytes)) = (stats.packets.get_mut(at), stats.bytes.get_mut(at))
            else {
                continue;
            };
            // Whoever made the map: numbers that add up to too much must not end this process.
            for cpu in value.chunks_exact(16) {
                let (p, b) = cpu.split_at(8);
                *packets = packets.saturating_add(number(p));
                *bytes = bytes.saturating_add(number(b));
            }
        }
        Ok(stats)
    }

    /// Packets of all verdicts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.packets.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Packets of one verdict.
    #[must_use]
    pub const fn of(&self, verdict: Verdict) -> u64 {
        self.packets[verdict as usize]
    }
}

/// Adds up over the CPUs a per-CPU array of `u64` in which an engine counts events, one for each
/// name. Those that did not happen are left out.
///
/// # Errors
/// The kernel's refusal.
pub fn events(
    map: &dyn MapOps,
    names: &[&'static str],
) -> Result<BTreeMap<&'static str, u64>, Error> {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    let mut events = BTreeMap::new();
    for (key, value) in map.entries()? {
        let at = <[u8; 4]>::try_from(&key[..]).map_or(u32::MAX, u32::from_ne_bytes) as usize;
        let Some(name) = names.get(at) else { continue };
        let sum = value.chunks_exact(8).fold(0_u64, |sum, cpu| sum.saturating_add(number(cpu)));
        if sum > 0 {
            events.insert(*name, sum);
        }
    }
    Ok(events)
}

/// A map, wherever it lives: in the kernel, on a NIC, in this process.
///
/// Keys and values are raw bytes in the host's byte order, of exactly the definition's sizes.
pub trait MapOps: Send + Sync + fmt::Debug {
    /// Its definition.
    fn def(&self) -> &MapDef;

    /// One value; `None` when the key is absent. Per-CPU maps return one value after another, each
    /// of `value_size` bytes rounded up to 8, for every possible CPU.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Inserts or replaces.
    ///
    /// # Errors
    /// The kernel's refusal, `E2BIG` for a full map.
    fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Error>;

    /// Deletes; `false` when the key was absent.
    ///
    /// # Errors
    /// The kernel's refusal; array slots cannot be deleted.
    fn delete(&self, key: &[u8]) -> Result<bool, Error>;

    /// All entries. Entries that change meanwhile may appear or not.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn entries(&self) -> Result<hoist_bpf::kernel::Entries, Error>;

    /// Kernel id, for maps that live there.
    fn id(&self) -> Option<u32> {
        None
    }
}

/// A map's definition as its users need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapDef {
    /// Name in the object, whole.
    pub name: String,
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes per key.
    pub key_size: u32,
    /// Bytes per value (of one CPU).
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// Creation flags.
    pub flags: u32,
    /// BTF type ids of key and value in the module's BTF.
    pub types: Option<(u32, u32)>,
}

/// A shared handle to a map.
#[derive(Clone, Debug)]
pub struct MapHandle(pub Arc<dyn MapOps>);

impl std::ops::Deref for MapHandle {
    type Target = dyn MapOps;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
