//! What one instruction did.

use hoist_bpf::module::SourceLine;
use serde::{Serialize, Serializer};

/// One instruction that was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The how manyth instruction of the run it was, from 1.
    pub number: u64,
    /// Functions between it and the entry.
    pub depth: usize,
    /// Which call of a function it belongs to: the entry is 0, callbacks count each time.
    pub activation: u32,
    /// The function's name.
    pub function: String,
    /// Slot from the start of the function, as disassembly counts.
    pub slot: u32,
    /// Its source line, where the object has line information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<SourceLine>,
    /// What it says.
    pub text: String,
    /// The state before it, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<State>>,
    /// Registers that it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
    /// Memory that it read and wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Access>,
    /// What it called, with what came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// What it asked of maps and did to them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<Effect>,
    /// What it compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<Branch>,
    /// The frame's bounds after it, where it moved them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Setting>,
    /// The fault that it ended in, as its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

/// A register and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Register {
    /// `r0` to `r10`.
    pub name: &'static str,
    /// The number.
    pub value: u64,
    /// What it means: `pkt+14`, `stack-8`, or the number in the usual notation.
    pub means: String,
}

/// One access to memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Whether it wrote.
    pub write: bool,
    /// Where: `pkt+23`, `stack-4`.
    pub place: String,
    /// The bytes in the order of memory, and so of the wire.
    #[serde(serialize_with = "hex")]
    pub bytes: Vec<u8>,
    /// The bytes before, where they were others.
    #[serde(serialize_with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<u8>,
}

/// A call of a helper, a kernel function or a function of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Parameters with what was passed; the name is empty where it is not known.
    pub arguments: Vec<(String, String)>,
    /// What came back. A function of the program returns later, in a step of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
}

/// What was asked of a map or done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The map's name.
    pub map: String,
    /// `lookup`, `update`, `delete` or `push`.
    pub operation: &'static str,
    /// The key, in words or as bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether there was something to be found; whether it was done.
    pub success: bool,
}

/// A comparison and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// What was compared: `6`.
    pub left: String,
    /// How: `!=`.
    pub operator: &'static str,
    /// With what: `17`.
    pub right: String,
    /// Whether it holds, so that the jump is taken.
    pub taken: bool,
}

/// The frame's bounds, in bytes from where the frame came in; before it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `data_meta`.
    pub meta: i64,
    /// `data`.
    pub data: i64,
    /// `data_end`.
    pub end: i64,
}

/// Everything a program has at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// All registers.
    pub registers: Vec<Register>,
    /// Bytes of the function's stack that hold something, by their place.
    pub stack: Vec<Stored>,
    /// The frame's bounds.
    pub frame: Setting,
}

/// Bytes that lie somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Where.
    pub place: String,
    /// What, in the order of memory.
    #[serde(serialize_with = "hex")]
    pub bytes: Vec<u8>,
    /// What it means where it is an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
}

fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&super::naming::Hex(bytes))
}
