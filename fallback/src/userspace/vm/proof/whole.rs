//! The functions of a program together: what each is called with.

use std::collections::BTreeSet;

use hoist_bpf::module::Module;

use super::Proof;
use super::effects::Effects;
use super::function::{Found, Prover, World};
use super::state::{ENTRY, State};
use super::value::Value;
use crate::userspace::vm::address;
use crate::userspace::vm::code::{Code, Op};

/// Longest function that is looked at, in operations.
const LONGEST: usize = 1 << 20;
/// Looks at one function after which what it is called with is moved out to round numbers.
const PATIENCE: u32 = 3;
/// Looks at one function, on average, after which callers may pass anything.
const LOOKS: usize = 8;

pub(super) struct Whole<'a> {
    world: World<'a>,
    code: &'a Code,
    /// What each function is called with, so far; `None`: nobody calls it.
    entries: Vec<Option<State>>,
    /// How often callers changed that.
    changes: Vec<u32>,
    waiting: BTreeSet<usize>,
}

impl<'a> Whole<'a> {
    pub(super) fn new(module: &'a Module, code: &'a Code) -> Self {
        let world = World { module, effects: Effects::of(code) };
        let count = code.functions.len();
        let (entries, changes) = (vec![None; count], vec![0; count]);
        let mut whole = Self { world, code, entries, changes, waiting: BTreeSet::new() };
        for program in &module.programs {
            let mut entry = State::entry();
            entry.registers[1] = Value::Context(0);
            whole.call(program.function.0 as usize, &entry);
        }
        // Callbacks are called by helpers, with anything.
        for op in code.functions.iter().flat_map(|function| &function.ops) {
            if let Op::LoadImm { value, .. } = *op
                && let Some(function) = address::addressed_function(value)
            {
                whole.call(function.0 as usize, &State::called_by_anyone());
            }
        }
        whole
    }

    /// Somebody calls a function.
    fn call(&mut self, function: usize, with: &State) {
        let Some(entry) = self.entries.get_mut(function) else { return };
        let changed = match entry {
            None => {
                *entry = Some(with.clone());
                true
            }
            Some(entry) => {
                self.changes[function] += 1;
                entry.meet(with, ENTRY, self.changes[function] > PATIENCE)
            }
        };
        if changed {
            self.waiting.insert(function);
        }
    }

    /// What is known of each function's operations; `None`: nothing.
    pub(super) fn run(mut self) -> Vec<Option<Vec<Proof>>> {
        let mut proofs = vec![None; self.code.functions.len()];
        let mut looks = LOOKS * self.code.functions.len();
        while let Some(function) = self.waiting.pop_first() {
            if looks == 0 {
                return self.run_apart();
            }
            looks -= 1;
            let entry = self.entries[function].clone();
            match entry.and_then(|entry| self.look(function, entry)) {
                Some(found) => {
                    for (callee, with) in &found.calls {
                        self.call(callee.0 as usize, with);
                    }
                    proofs[function] = Some(found.proofs);
                }
                None => {
                    proofs[function] = None;
                    for op in &self.code.functions[function].ops {
                        if let Op::Call(callee) = *op {
                            self.call(callee.0 as usize, &State::called_by_anyone());
                        }
                    }
                }
            }
        }
        proofs
    }

    /// Every function on its own, called by anyone with anything.
    fn run_apart(&self) -> Vec<Option<Vec<Proof>>> {
        let alone = |function| self.look(function, State::called_by_anyone());
        (0..self.code.functions.len()).map(|f| alone(f).map(|found| found.proofs)).collect()
    }

    fn look(&self, function: usize, entry: State) -> Option<Found> {
        let function = &self.code.functions[function];
        if function.ops.len() > LONGEST {
            return None;
        }
        Prover::new(&self.world, function, entry).run()
    }
}
