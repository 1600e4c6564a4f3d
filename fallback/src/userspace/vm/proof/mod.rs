//! What can be said about a program before it runs: which accesses are in bounds whatever the frame,
//! and which map a call is about.

mod accesses;
mod arithmetic;
mod effects;
mod function;
mod state;
mod value;

use hoist_bpf::module::{MapId, Module};

use super::code::{Code, Op};
use effects::Effects;
use function::{Prover, World};
use state::State;
use value::Value;

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

/// Longest function that is looked at, in operations.
const LONGEST: usize = 1 << 20;

/// Looks at every function of a program, as the verifier does: follows the paths with what is known
/// of registers and stack, until nothing new is learnt. What takes too long is not proven; that is
/// never wrong.
#[must_use]
pub fn prove(module: &Module, code: &Code) -> Vec<Proofs> {
    let world = World { module, effects: Effects::of(code) };
    let called: Vec<bool> = called(code);
    let entry = |number: usize| {
        let mut state = State::entry();
        let is_program = module.programs.iter().any(|p| p.function.0 as usize == number);
        if is_program && !called[number] {
            state.registers[1] = Value::Context(0);
        } else {
            // Any caller may pass anything.
            state.registers[1..6].fill(Value::UNKNOWN);
        }
        state
    };
    let proofs = |(number, function): (usize, &super::code::Function)| {
        let ops = if function.ops.len() <= LONGEST {
            Prover::new(&world, function, entry(number)).run()
        } else {
            None
        };
        Proofs { ops: ops.unwrap_or_else(|| vec![Proof::Unknown; function.ops.len()]) }
    };
    code.functions.iter().enumerate().map(proofs).collect()
}

/// Which functions are called, or may be: those whose address is taken.
fn called(code: &Code) -> Vec<bool> {
    let mut called = vec![false; code.functions.len()];
    for op in code.functions.iter().flat_map(|function| &function.ops) {
        let callee = match *op {
            Op::Call(callee) => Some(callee),
            Op::LoadImm { value, .. } => super::address::addressed_function(value),
            _ => None,
        };
        if let Some(called) = callee.and_then(|callee| called.get_mut(callee.0 as usize)) {
            *called = true;
        }
    }
    called
}
