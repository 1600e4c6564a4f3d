//! Which functions a program brings along, and how deep they call each other.

use std::collections::BTreeSet;

use super::interp::MAX_FRAMES;
use super::marks::FunctionMarks;
use crate::module::{Function, FunctionId, Module, Target};

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;

/// A program's functions, in the order they are met: the entry first.
#[derive(Clone, Debug)]
pub(super) struct Closure {
    pub(super) functions: Vec<FunctionId>,
}

/// Functions that an instruction list calls or takes the address of.
pub(super) fn callees(function: &Function) -> impl Iterator<Item = FunctionId> {
    function.code.iter().filter_map(|i| match i.target {
        Target::Call(f) | Target::FunctionAddress(f) => Some(f),
        _ => None,
    })
}

impl Closure {
    /// Everything that is loaded with `entry`, code that is never reached included: the kernel
    /// gets it all.
    pub(super) fn of(module: &Module, entry: FunctionId) -> Self {
        let mut seen = vec![false; module.functions.len()];
        let mut functions = Vec::new();
        let mut work = vec![entry];
        while let Some(id) = work.pop() {
            let Some(seen) = seen.get_mut(id.0 as usize) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            functions.push(id);
            work.extend(callees(&module.functions[id.0 as usize]));
        }
        Self { functions }
    }

    /// Instruction slots of all its functions.
    pub(super) fn slots(&self, module: &Module) -> usize {
        self.functions.iter().map(|f| module.function(*f).slots()).sum()
    }
}

/// The program and the programs it can tail-call by what its maps hold from the start.
pub(super) fn entries(module: &Module, program: FunctionId) -> Vec<Closure> {
    let mut seen = BTreeSet::from([program]);
    let mut work = vec![program];
    let mut closures = Vec::new();
    while let Some(entry) = work.pop() {
        let closure = Closure::of(module, entry);
        for id in &closure.functions {
            for inst in &module.function(*id).code {
                let Target::Map(map) = inst.target else { continue };
                let Some(map) = module.maps.get(map.0 as usize) else { continue };
                for slot in map.initial.iter().filter(|_| map.kind == PROG_ARRAY) {
                    if let Target::FunctionAddress(f) = slot.value
                        && (f.0 as usize) < module.functions.len()
                        && seen.insert(f)
                    {
                        work.push(f);
                    }
                }
            }
        }
        closures.push(closure);
    }
    closures
}

/// The deepest call chain of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Depth {
    /// Nested functions, the entry included; [`MAX_FRAMES`] + 1 for recursion.
    pub(super) calls: u64,
    /// Bytes of stack, each frame rounded up to 16 as the kernel does for its compiler
    /// (`round_up_stack_depth`); `None` for recursion.
    pub(super) stack: Option<u64>,
}

/// Measures a program's deepest chain: callees first, so that no chain is followed twice.
pub(super) fn depth(module: &Module, closure: &Closure, marks: &[FunctionMarks]) -> Depth {
    let count = module.functions.len();
    let mut callers = vec![Vec::new(); count];
    let mut waiting = vec![0_u32; count];
    for &caller in &closure.functions {
        let unique: BTreeSet<_> = callees(module.function(caller)).collect();
        for callee in unique {
            if (callee.0 as usize) < count {
                callers[callee.0 as usize].push(caller);
                waiting[caller.0 as usize] += 1;
            }
        }
    }
    let own = |f: FunctionId| u64::from(marks[f.0 as usize].stack).next_multiple_of(16);
    let mut below = vec![(0_u64, 0_u64); count];
    let mut ready: Vec<FunctionId> =
        closure.functions.iter().copied().filter(|f| waiting[f.0 as usize] == 0).collect();
    let entry = closure.functions.first();
    let mut result = Depth { calls: MAX_FRAMES as u64 + 1, stack: None };
    while let Some(f) = ready.pop() {
        let (calls, stack) = below[f.0 as usize];
        let (calls, stack) = (calls + 1, stack + own(f));
        if Some(&f) == entry {
            result = Depth { calls, stack: Some(stack) };
        }
        // An asynchronous callback runs on a stack of its own.
        let adds = !marks[f.0 as usize].asynchronous;
        for &caller in &callers[f.0 as usize] {
            let there = &mut below[caller.0 as usize];
            if adds {
                *there = (there.0.max(calls), there.1.max(stack));
            }
            waiting[caller.0 as usize] -= 1;
            if waiting[caller.0 as usize] == 0 {
                ready.push(caller);
            }
        }
    }
    result
}
