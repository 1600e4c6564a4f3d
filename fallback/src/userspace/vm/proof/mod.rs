//! What can be said about a program before it runs: which accesses are in bounds whatever the frame,
//! and which map a call is about.

use hoist_bpf::module::MapId;

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
    /// A helper call whose first argument is this map.
    Call(MapId),
}
