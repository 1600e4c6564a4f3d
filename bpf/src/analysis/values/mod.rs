//! What every instruction is given: the ranges of its numbers, the places its pointers point to.
//!
//! The other interpretation of this crate asks which constants flow where; this one asks how large a
//! number can become and how far a pointer can be from its object, as the drivers of cards do, which
//! take an instruction only where its operands are known to fit. It follows the same paths; where
//! paths meet it keeps what holds on all of them. So it may know less than the verifier, which
//! follows each path on its own, and never more.

mod arith;
mod branch;
mod interp;
mod state;
mod value;

pub use value::{Range, Span, Value};

use super::places::{At, TooLarge};
use crate::module::{FunctionId, InstId, Module, ProgramId};

/// What a program is entered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// `struct xdp_md`.
    Xdp,
    /// `struct __sk_buff`.
    Classifier,
}

/// What one instruction is given, over every way it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The destination register before the instruction. For a return, `r0`.
    pub dst: Value,
    /// The source: a register, or the immediate.
    pub src: Value,
    /// `r1` to `r5` of a call of a helper or a kernel function.
    pub args: Option<[Value; 5]>,
    /// Of a call of `bpf_map_update_elem`, for each byte of the value that `r3` points to: whether
    /// it is zero, and whether the verifier of Linux 6.8 and later marks it so.
    pub zero: Vec<(bool, bool)>,
    /// Whether the destination or source is a pointer to another frame's stack on some way.
    pub other_frame: bool,
}

/// What is known of a program.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The entry, and every function that is loaded with it: an entry before what it calls.
    pub functions: Vec<FunctionId>,
    /// Instructions that jump backwards, by function.
    pub back_edges: Vec<At>,
    /// By function and position.
    given: Vec<Vec<Option<Given>>>,
    /// By function: bytes of its own stack that it uses.
    stack: Vec<u32>,
}

impl Values {
    /// What the instruction at a position of a function's code is given; `None` where no way leads
    /// to it.
    #[must_use]
    pub fn given(&self, function: FunctionId, position: usize) -> Option<&Given> {
        self.given.get(function.0 as usize)?.get(position)?.as_ref()
    }

    /// Bytes of stack that a function uses, without those that it calls.
    #[must_use]
    pub fn stack_bytes(&self, function: FunctionId) -> u32 {
        self.stack.get(function.0 as usize).copied().unwrap_or_default()
    }
}

/// Follows a program. A program id that the module does not have has no values.
///
/// # Errors
/// The code needs more work or memory to be followed than the fixed budget.
pub fn values(module: &Module, program: ProgramId, entry: Entry) -> Result<Values, TooLarge> {
    let Some(main) = module.programs.get(program.0 as usize).map(|p| p.function) else {
        return Ok(Values::default());
    };
    let mut interp = interp::Interp::new(module, entry);
    interp.program(main).map_err(|_| TooLarge)?;
    let functions = super::closure::Closure::of(module, main).functions;
    let mut back_edges = Vec::new();
    for &id in &functions {
        let function = module.function(id);
        let reached = |end: u32| interp.given[id.0 as usize].get(end as usize - 1);
        let live = |b: &super::flow::Block| {
            let live = reached(b.end).is_some_and(Option::is_some);
            (live, live)
        };
        let at = |end: u32| At { function: id, inst: InstId(function.code[end as usize - 1].id.0) };
        back_edges.extend(super::flow::Graph::of(function).back_edges(live).into_iter().map(at));
    }
    Ok(Values { functions, back_edges, given: interp.given, stack: interp.stack })
}

#[cfg(test)]
mod tests;
