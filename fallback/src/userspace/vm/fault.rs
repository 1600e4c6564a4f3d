//! How a run can end that the verifier would have prevented.

use std::fmt;

use hoist_bpf::module::{FunctionId, Inst, InstId, MapId, Module, SourceLine};

use super::code::{Code, Invalid};
use super::observer::Place;

/// A fault, and where. The frame is dropped and counted as aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// In which function.
    pub function: FunctionId,
    /// Its name.
    pub name: String,
    /// At which instruction of it.
    pub inst: InstId,
    /// The instruction's offset in slots from the start of the function, as disassembly counts.
    pub slot: u32,
    /// The source line, where the object has line information.
    pub line: Option<SourceLine>,
    /// What happened, with maps by their names.
    pub words: String,
}

impl Fault {
    /// A fault at an operation.
    #[must_use]
    pub fn new(module: &Module, code: &Code, place: Place, kind: FaultKind) -> Self {
        let at = place.op as usize;
        let decoded = code.functions.get(place.function.0 as usize);
        let inst = decoded.and_then(|f| f.insts.get(at)).copied().unwrap_or(InstId(0));
        let function = module.functions.get(place.function.0 as usize);
        let name = function.map(|f| f.name.clone()).unwrap_or_default();
        let before = function.map(|f| &f.code[..at.min(f.code.len())]).unwrap_or_default();
        let slot = before.iter().map(Inst::slots).sum::<usize>() as u32;
        let found = function.and_then(|f| f.code.get(f.position(inst)?)).and_then(|i| i.line);
        let line = found.and_then(|line| module.lines.get(line as usize)).cloned();
        let words = in_words(module, &kind);
        Self { kind, function: place.function, name, inst, slot, line, words }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.words)?;
        match &self.line {
            Some(line) => {
                write!(f, " (at {}:{}, {}+{})", line.file, line.line, self.name, self.slot)
            }
            None => write!(f, " (at {}+{})", self.name, self.slot),
        }
    }
}

/// What happened, with a map by its name instead of its number.
fn in_words(module: &Module, kind: &FaultKind) -> String {
    let text = kind.to_string();
    let Some(region @ Region::Map(map)) = kind.region() else { return text };
    match module.maps.get(map.0 as usize) {
        Some(known) => text.replace(&region.to_string(), &format!("a value of '{}'", known.name)),
        None => text,
    }
}

/// A kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The frame, metadata included.
    Frame,
    /// The stack of the active functions.
    Stack,
    /// `struct xdp_md`.
    Context,
    /// The values of a map.
    Map(MapId),
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame => f.write_str("the frame"),
            Self::Stack => f.write_str("the stack"),
            Self::Context => f.write_str("the context"),
            Self::Map(map) => write!(f, "a value of map {}", map.0),
        }
    }
}

/// One access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// VM address of the first byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Whether it writes.
    pub write: bool,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.write { "write" } else { "read" };
        let unit = if self.size == 1 { "byte" } else { "bytes" };
        write!(f, "{what} of {} {unit} at {:#x}", self.size, self.address)
    }
}

/// `read of 4 bytes at byte 30 of the frame, which has 34`.
fn outside(access: Access, region: Region, low: u64, high: u64) -> String {
    let what = if access.write { "write" } else { "read" };
    let unit = if access.size == 1 { "byte" } else { "bytes" };
    let from = access.address.wrapping_sub(low).cast_signed();
    let length = high.wrapping_sub(low);
    format!("{what} of {} {unit} at byte {from} of {region}, which has {length}", access.size)
}

/// What can happen. Each has a section of its code's name in docs/refusals.md.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// Not an instruction, or not one for this machine.
    #[error("{0}")]
    InvalidInstruction(Invalid),
    /// An address in no memory: null, a number, a handle.
    #[error("{0}, which is in no memory")]
    WildAddress(Access),
    /// An address in a memory, but not within its bounds.
    #[error("{}", outside(*access, *region, *low, *high))]
    OutOfBounds {
        /// What was tried.
        access: Access,
        /// Of which memory.
        region: Region,
        /// First address that would have been right.
        low: u64,
        /// The address behind the last one.
        high: u64,
    },
    /// A write to memory that is not for writing: frozen maps, those the program may only read.
    #[error("{access} of {region}, which is read only")]
    ReadOnly {
        /// What was tried.
        access: Access,
        /// Of which memory.
        region: Region,
    },
    /// A read of memory that the program may only write.
    #[error("{access} of {region}, which is write only")]
    WriteOnly {
        /// What was tried.
        access: Access,
        /// Of which memory.
        region: Region,
    },
    /// Not an aligned 4-byte read of a field of `struct xdp_md` (`xdp_is_valid_access`).
    #[error("{0} of the context; it is read in aligned fields of 4 bytes")]
    ContextAccess(Access),
    /// An atomic operation at an address that is no multiple of its size.
    #[error("atomic {0}, which is not aligned")]
    UnalignedAtomic(Access),
    /// More nested calls than [`super::address::MAX_CALL_FRAMES`], callbacks included.
    #[error("more than {} nested functions", super::address::MAX_CALL_FRAMES)]
    CallDepth,
    /// A map's value used after the run in which it was deleted, or never inserted.
    #[error("{access} of {region}, which was deleted or never inserted")]
    UseAfterDelete {
        /// What was tried.
        access: Access,
        /// The map.
        region: Region,
    },
    /// An argument for which the verifier would have refused the call.
    #[error("bpf_{helper}: argument {argument}: {what}")]
    BadHelperArgument {
        /// The helper or kfunc, without `bpf_`.
        helper: &'static str,
        /// From 1.
        argument: u8,
        /// What is wrong with it.
        what: String,
    },
    /// A helper that this machine has not.
    #[error("helper {0} is not available")]
    UnknownHelper(u32),
    /// A kernel function that this machine has not.
    #[error("kernel function {0} is not available")]
    UnknownKfunc(String),
    /// The instruction budget of one run is used up.
    #[error("the run did not end within its budget of instructions")]
    OutOfFuel,
    /// A lock held at the end, taken twice, or released unheld.
    #[error("{0}")]
    SpinLockMisuse(&'static str),
    /// A reference (ring buffer record, dynptr, iterator) not released, or released twice.
    #[error("{0}")]
    ReferenceMisuse(&'static str),
    /// A fact that was proven about the program does not hold: a bug of the prover.
    #[error("{0}, although it was proven to be in bounds")]
    ProofViolated(Access),
    /// The frame that was given is none ([`super::Frame::is_sound`]).
    #[error("the frame does not lie within its buffer")]
    InvalidFrame,
    /// An observer ended the run.
    #[error("stopped")]
    Stopped,
}

impl FaultKind {
    /// The memory that it is about, where it is about one.
    #[must_use]
    pub const fn region(&self) -> Option<Region> {
        match self {
            Self::OutOfBounds { region, .. }
            | Self::ReadOnly { region, .. }
            | Self::WriteOnly { region, .. }
            | Self::UseAfterDelete { region, .. } => Some(*region),
            _ => None,
        }
    }

    /// Stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidInstruction(_) => "invalid-instruction",
            Self::WildAddress(_) => "wild-address",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::ReadOnly { .. } => "read-only",
            Self::WriteOnly { .. } => "write-only",
            Self::ContextAccess(_) => "context-access",
            Self::UnalignedAtomic(_) => "unaligned-atomic",
            Self::CallDepth => "call-depth",
            Self::UseAfterDelete { .. } => "use-after-delete",
            Self::BadHelperArgument { .. } => "bad-helper-argument",
            Self::UnknownHelper(_) => "unknown-helper",
            Self::UnknownKfunc(_) => "unknown-kfunc",
            Self::OutOfFuel => "out-of-fuel",
            Self::SpinLockMisuse(_) => "spin-lock-misuse",
            Self::ReferenceMisuse(_) => "reference-misuse",
            Self::ProofViolated(_) => "proof-violated",
            Self::InvalidFrame => "invalid-frame",
            Self::Stopped => "stopped",
        }
    }
}
