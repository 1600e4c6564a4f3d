//! What can be said about a program before it runs: which accesses are in bounds whatever the frame,
//! and which map a call is about.

mod accesses;
mod arithmetic;
mod effects;
mod function;
mod state;
mod value;
mod whole;

use hoist_bpf::module::{MapId, Module};

use super::code::{Code, Function};

/// What is known of every operation of a function, in the order of
/// [`super::code::Function::ops`].
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// By operation.
    pub ops: Vec<Proof>,
}

/// What is known of one operation, whenever it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: check it.
    #[default]
    Unknown,
    /// It is never reached.
    Unreachable,
    /// The access lies within [`data`, `data_end`) of the frame as they are at this point.
    Frame,
    /// The access lies within the function's own stack; the offset from `r10`.
    Stack(i16),
    /// The access lies within the active functions' stacks.
    AnyStack,
    /// The access reads this field of the context.
    Context(u16),
    /// The access lies within a live value of this map, at an address that is an array's value or
    /// was returned by a lookup in this run; a write is allowed.
    Value(MapId),
    /// The memory is known but not the bounds: in the frame, if it is in bounds at all.
    MaybeFrame,
    /// Likewise on the stack.
    MaybeStack,
    /// Likewise in a value of this map.
    MaybeValue(MapId),
    /// A call of a helper that is about this map: its first argument, or the second of
    /// `bpf_perf_event_output` and `bpf_tail_call`.
    Call(MapId),
}

/// Looks at every function of a program, as the verifier does: follows the paths with what is known
/// of registers and stack, until nothing new is learnt. What takes too long is not proven; that is
/// never wrong.
#[must_use]
pub fn prove(module: &Module, code: &Code) -> Vec<Proofs> {
    let found = whole::Whole::new(module, code).run();
    let known = |(function, found): (&Function, Option<Vec<Proof>>)| Proofs {
        ops: found.unwrap_or_else(|| vec![Proof::Unknown; function.ops.len()]),
    };
    code.functions.iter().zip(found).map(known).collect()
}
