//! What is known of each place in a program's code: which loads read the context, what calls are
//! given, where the packet is written. For passes that rewrite code and must not miss a place.

use std::collections::{BTreeMap, BTreeSet};

use bitflags::bitflags;

use super::value::kind;
use crate::module::{ExternId, FunctionId, InstId, MapId, Module, ProgramId};
use crate::requirements::ContextField;

/// One instruction of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The function.
    pub function: FunctionId,
    /// The instruction, by its name within the function.
    pub inst: InstId,
}

/// What is known of a program's code, over every way it is reached from the program and from the
/// programs that it can tail-call by what its maps hold from the start.
///
/// What the verifier may follow is reached here too, or the kernel's code has an error; so a load
/// of the context that is reached is in [`Places::context`], as [`ContextUse::Field`] or as one of
/// the uses that a rewriter must refuse.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The functions that are entered: the program's first, then those of the programs that it can
    /// tail-call.
    pub entries: Vec<FunctionId>,
    /// Every function that is loaded with one of the entries, each once, an entry before what it
    /// calls.
    pub functions: Vec<FunctionId>,
    /// Each load, store and arithmetic that touches the context.
    pub context: BTreeMap<At, ContextUse>,
    /// Each reached call of a helper or a kernel function.
    pub calls: BTreeMap<At, CallSite>,
    /// Each store to packet bytes, or that may be one.
    pub packet_writes: BTreeSet<At>,
    /// Bytes of stack of the deepest call chain, each frame rounded up to 16 (of the entry that
    /// needs most).
    pub stack_bytes: u64,
    /// Nested functions of the deepest call chain, the entry included.
    pub call_depth: u64,
    /// By function and position in its code.
    pub(super) reached: Vec<Vec<bool>>,
}

/// How an instruction uses the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextUse {
    /// Reads a field: four bytes, mode `MEM` or `MEMSX`, through a pointer that is the context on
    /// every way.
    Field(ContextField),
    /// Accesses memory through a pointer that is the context on some way and something else on
    /// another, or of which it is not known whether it is the context.
    Ambiguous,
    /// Reads the context with another size, or at an offset where no field starts. The verifier
    /// refuses it (`__is_valid_xdp_access`).
    Misshapen,
    /// Writes to the context. The verifier takes it for hardware offload only.
    Store,
    /// Moves the pointer. The verifier refuses a load through the result ("dereference of modified
    /// ctx ptr").
    Arithmetic,
}

/// A call of something outside the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// What is called.
    pub callee: Callee,
    /// What `r1` to `r5` may hold. Registers that the callee does not take hold what was left in
    /// them.
    pub args: [Arg; 5],
    /// A pointer into the packet that is taken before this call is dereferenced after it. The
    /// verifier refuses that when the callee can move the packet (`bpf_skb_store_bytes` can, though
    /// `bpf_xdp_store_bytes` cannot). Pointers kept on the stack are not looked for.
    pub keeps_packet_pointer: bool,
}

/// What a call outside the module calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    /// A helper, by number (`enum bpf_func_id`).
    Helper(u32),
    /// A kernel function.
    Kfunc(ExternId),
}

/// What an argument may be, over every way its call is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arg {
    /// Kinds; empty when nothing was ever put into the register.
    pub kinds: Kinds,
    /// The maps of the module that it may be, by rising id. Complete unless
    /// [`Arg::unknown_map`] is set.
    pub maps: Vec<MapId>,
    /// It may also be a map that the module does not name: one held by a map of maps.
    pub unknown_map: bool,
    /// Every number that it may be, by rising value; `None` when it may be any, and when it may be
    /// something other than a number.
    pub constants: Option<Vec<u64>>,
}

bitflags! {
    /// Kinds of values.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Kinds: u16 {
        /// A number, or a pointer that the program got from the kernel (a socket, a ring buffer's
        /// record).
        const SCALAR = kind::SCALAR;
        /// The context.
        const CONTEXT = kind::CTX;
        /// A pointer into the packet.
        const PACKET = kind::PACKET;
        /// The packet's end.
        const PACKET_END = kind::PACKET_END;
        /// A pointer to the metadata before the packet.
        const METADATA = kind::META;
        /// A pointer to the stack.
        const STACK = kind::STACK;
        /// A map.
        const MAP = kind::MAP;
        /// A pointer into a map's value, possibly null.
        const MAP_VALUE = kind::MAP_VALUE;
        /// A function.
        const FUNCTION = kind::FUNC;
        /// Memory that a global function was handed. [`crate::analysis::values`] alone tells it
        /// apart.
        const OTHER = 1 << 9;
    }
}

/// The code is too large to be followed: nothing is known of its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the program is too large to be followed (3 million steps, 32 MiB of states, 65,536 calls or uses of the context); \
     split it with tail calls, or make its subprograms global"
)]
pub struct TooLarge;

impl Places {
    /// Whether some way leads to the instruction at a position of a function's code.
    #[must_use]
    pub fn reached(&self, function: FunctionId, position: usize) -> bool {
        let reached = self.reached.get(function.0 as usize);
        reached.and_then(|r| r.get(position)).copied().unwrap_or(false)
    }
}

/// Follows a program and tells what is known of each place. Run it after `resolve`, and after the
/// program's variables are set: they decide which code is reached. A program id that the module
/// does not have has no places.
///
/// # Errors
/// The code needs more work or memory to be followed than the fixed budget.
pub fn places(module: &Module, program: ProgramId) -> Result<Places, TooLarge> {
    super::record::places(module, program)
}

#[cfg(test)]
mod tests;
