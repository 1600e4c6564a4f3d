//! Compiled code: a program as machine code of this CPU.
//!
//! `compile` translates the operations of [`super::code`] with Cranelift. What the machine code
//! does is what the interpreter does, fault for fault: each access is checked unless it was proven
//! ahead (`super::proof`), every jump back and call is charged, and whatever is not plain arithmetic
//! or a good access is left to the same routines that the interpreter uses.
//!
//! # Conventions
//!
//! A machine function gets the run (`*mut Running`), and, unless it is the program itself, `r1` to
//! `r5`; `r10` follows from the bounds of the stack that the run keeps. It returns `r0` and a status,
//! 0 or 1 after a fault, which its caller passes on. The fault itself is in the run: every routine
//! that can fail leaves it there with the place of the operation.

mod alu;
mod background;
mod call;
mod control;
mod entry;
mod facts;
mod function;
mod layout;
mod lookup;
mod memory;
mod reach;
mod routines;
mod unit;

use std::fmt;
use std::sync::Arc;

use hoist_bpf::module::{FunctionId, MapId, Module, ProgramId};

use super::Options;
use super::code::Code;
use super::memory::Stack;
use super::proof::{Proofs, prove};
use crate::userspace::maps::Maps;

pub(crate) use background::Background;
pub(crate) use entry::Native;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_PERCPU_ARRAY`.
const PERCPU_ARRAY: u32 = 6;
/// Kinds of maps in which a lookup returns the address of a value (and not, say, an inner map):
/// `HASH`, `ARRAY`, `PERCPU_HASH`, `PERCPU_ARRAY`, `LRU_HASH`, `LRU_PERCPU_HASH`, `LPM_TRIE`.
const VALUED: [u32; 7] = [1, ARRAY, 5, PERCPU_ARRAY, 9, 10, 11];

/// When a program is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Never: the interpreter runs it.
    Never,
    /// The interpreter starts at once; another thread compiles meanwhile, and the first run after
    /// that uses the machine code.
    #[default]
    Meanwhile,
    /// Before the first run.
    First,
}

/// Why there is no machine code. The interpreter runs the program then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotCompiled(String);

/// What machine code is made from. It holds addresses of the machine's own memory: the code is for
/// one machine.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) code: Arc<Code>,
    /// The function that a run starts with.
    pub(crate) program: FunctionId,
    /// The functions that tail calls may lead to.
    pub(crate) targets: Vec<FunctionId>,
    /// What is proven, by function.
    pub(crate) proofs: Vec<Proofs>,
    /// The memory of values, by map.
    pub(crate) values: Vec<Option<ValueMemory>>,
    /// Address of the stack's first byte in this process.
    pub(crate) stack: u64,
    /// Checks everything, proven or not.
    pub(crate) paranoid: bool,
}

/// Where values of a map are, and what programs may do there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueMemory {
    /// Address in this process.
    pub(crate) start: u64,
    /// Bytes from one entry to the next.
    pub(crate) stride: u64,
    /// Bytes of one value.
    pub(crate) value_bytes: u32,
    /// Number of entries.
    pub(crate) entries: u32,
    /// Bytes of a key.
    pub(crate) key_bytes: u32,
    /// An array with one value for each key: that of key `k` is at `k * stride`.
    pub(crate) array: bool,
    /// Values live for as long as the map.
    pub(crate) permanent: bool,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl ValueMemory {
    fn of(maps: &Maps, map: MapId) -> Option<Self> {
        let def = maps.def(map)?;
        let kind = def.kind;
        let region = maps.region(map).filter(|_| VALUED.contains(&kind))?;
        Some(Self {
            start: region.start.as_ptr() as u64,
            stride: region.stride,
            value_bytes: region.value_bytes,
            entries: region.entries,
            key_bytes: def.key_size,
            array: kind == ARRAY || kind == PERCPU_ARRAY && maps.cpus() == 1,
            permanent: region.permanent,
            readable: region.readable,
            writable: region.writable,
        })
    }

    /// Whether an access at an offset within a value is in bounds and allowed.
    fn holds(&self, offset: u64, bytes: u64, write: bool) -> bool {
        let value = u64::from(self.value_bytes);
        let allowed = if write { self.writable } else { self.readable };
        allowed && offset <= value && value - offset >= bytes
    }
}

/// The machine code of one program.
pub(crate) struct Compiled {
    program: entry::Program,
    /// Addresses of functions as machine code calls them, by function.
    subprograms: Vec<Option<usize>>,
    /// Functions as helpers call them, by function.
    callbacks: Vec<Option<entry::Callback>>,
    _memory: entry::CodeMemory,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// Compiles a machine's program, when the options say.
pub(crate) fn start(
    module: &Arc<Module>,
    program: ProgramId,
    code: &Arc<Code>,
    maps: &Maps,
    stack: &Stack,
    options: &Options,
) -> Background {
    let input = Input {
        code: Arc::clone(code),
        program: module.program(program).function,
        targets: module.programs.iter().map(|program| program.function).collect(),
        proofs: Vec::new(),
        values: (0..module.maps.len() as u32)
            .map(|map| ValueMemory::of(maps, MapId(map)))
            .collect(),
        stack: stack.bytes.as_ptr() as u64,
        paranoid: options.paranoid,
    };
    let module = Arc::clone(module);
    // Proving takes its time too, so it belongs in the thread that compiles.
    let proven = move || Input { proofs: prove(&module, &input.code), ..input };
    Background::start(options.compile, proven)
}

/// Generates machine code.
///
/// # Errors
/// There is no code generator for this CPU, it does not take the program (functions beyond its
/// limits), or the system refuses executable memory.
pub(crate) fn compile(input: &Input) -> Result<Compiled, NotCompiled> {
    Ok(Compiled::adopt(unit::Unit::new(input)?.finish()?))
}

impl super::Machine {
    /// Waits until the program is compiled.
    ///
    /// # Errors
    /// Why it is not; the interpreter runs it.
    pub fn wait_compiled(&mut self) -> Result<(), NotCompiled> {
        self.compiled.wait()
    }
}
