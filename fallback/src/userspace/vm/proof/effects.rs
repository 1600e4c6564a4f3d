//! What calls do to what is known.

use hoist_bpf::module::{FunctionId, MapId, Module};

use crate::userspace::vm::code::{Code, Op};

/// Kinds of maps whose lookups lead to a value of that map (`enum bpf_map_type`).
const VALUES: [u32; 7] = [1, 2, 5, 6, 9, 10, 11];
/// `bpf_xdp_adjust_head`, `bpf_xdp_adjust_meta`, `bpf_xdp_adjust_tail`.
const ADJUST: [u32; 3] = [44, 54, 65];
/// Helpers that write to no memory of the program: lookup, update, delete, clocks, numbers,
/// redirects, checksums, events, adjustments, pushes, ring buffer output and queries.
const WRITE_NOTHING: [u32; 25] = [
    1, 2, 3, 5, 6, 7, 8, 23, 25, 28, 42, 44, 51, 54, 65, 87, 118, 125, 130, 132, 133, 134, 160,
    188, 190,
];
/// `bpf_map_lookup_elem`.
pub(super) const LOOKUP: u32 = 1;
/// `bpf_perf_event_output`: its map is the second argument.
pub(super) const PERF_EVENT_OUTPUT: u32 = 25;
/// Helpers that call functions of the program.
const CALL_BACK: [u32; 3] = [164, 181, 209];

/// What functions do, calls included.
#[derive(Debug)]
pub(super) struct Effects {
    /// By function: whether the frame may be another one afterwards.
    moves: Vec<bool>,
    /// Whether any function does that, for callbacks.
    any: bool,
}

impl Effects {
    pub(super) fn of(code: &Code) -> Self {
        let own = |op: &Op| match *op {
            Op::Helper(number) => ADJUST.contains(&number),
            // What it is about, its name would tell; some change the frame.
            Op::Kfunc(_) => true,
            // Another program may do anything, then return to the caller of this function.
            Op::TailCall => true,
            _ => false,
        };
        let mut moves: Vec<bool> =
            code.functions.iter().map(|function| function.ops.iter().any(own)).collect();
        let mut callers = vec![Vec::new(); moves.len()];
        for (caller, function) in code.functions.iter().enumerate() {
            for op in &function.ops {
                if let Op::Call(callee) = op {
                    callers[callee.0 as usize].push(caller);
                }
            }
        }
        let mut found: Vec<usize> = (0..moves.len()).filter(|at| moves[*at]).collect();
        while let Some(callee) = found.pop() {
            for caller in &callers[callee] {
                if !std::mem::replace(&mut moves[*caller], true) {
                    found.push(*caller);
                }
            }
        }
        let any = moves.contains(&true);
        Self { moves, any }
    }

    /// Whether the frame may be another one after a call of a function.
    pub(super) fn call_moves(&self, function: FunctionId) -> bool {
        self.moves.get(function.0 as usize).copied().unwrap_or(true)
    }

    /// Whether the frame may be another one after a call of a helper.
    pub(super) fn helper_moves(&self, number: u32) -> bool {
        ADJUST.contains(&number) || (CALL_BACK.contains(&number) && self.any)
    }
}

/// Whether a helper may write to memory of the program, the stack included.
pub(super) fn writes(number: u32) -> bool {
    !WRITE_NOTHING.contains(&number)
}

/// Whether a lookup in the map leads to one of its own values.
pub(super) fn has_values(module: &Module, map: MapId) -> bool {
    module.maps.get(map.0 as usize).is_some_and(|map| VALUES.contains(&map.kind))
}
