//! Why a run ended as it did: back from the verdict to what set it, and to the branches that led
//! there.

use std::collections::{BTreeSet, HashMap, HashSet};

use hoist_bpf::module::FunctionId;
use serde::Serialize;

use super::Position;
use super::flow::{Flow, sets};
use super::listing::Listing;
use super::steps::{Branch, Call};
use super::visited::{Entry, Noted, Visited};
use crate::userspace::vm::Ran;
use crate::userspace::vm::code::{Code, Op, Register, Source};
use crate::userspace::vm::observer::Place;

/// Most instructions that an explanation is made of.
const MOST: usize = 500;
/// Register `r0`, in which a function returns.
const RESULT: Register = 0;

/// One instruction that the verdict depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Where.
    pub at: Position,
    /// What the instruction says.
    pub text: String,
    /// How often it was executed by the same call of its function; the last time is told.
    pub times: u64,
    /// What it has to do with the verdict.
    pub what: What,
}

/// What an instruction has to do with a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It went one way and not the other.
    Branch(Branch),
    /// It called what returned the verdict.
    Call(Call),
    /// It read the verdict, or what it was computed from, from this place.
    Read(String),
    /// It set the verdict, or computed it.
    Set,
    /// It ended the run by a fault.
    Fault(String),
}

/// The reasons for the end of a run, in the order of execution.
pub(super) fn reasons(code: &Code, listing: &Listing, visited: &Visited, ran: &Ran) -> Vec<Reason> {
    let mut search = Search {
        code,
        visited,
        flows: HashMap::new(),
        found: BTreeSet::new(),
        branches: HashSet::new(),
    };
    let Some(last) = visited.len().checked_sub(1) else { return Vec::new() };
    search.control(last);
    if ran.fault.is_some() {
        search.found.insert(last);
    } else {
        search.data(last, RESULT);
    }
    let mut told: HashMap<(u32, u32, u32), usize> = HashMap::new();
    let mut reasons: Vec<Reason> = Vec::new();
    for &index in &search.found {
        let Some(entry) = visited.get(index) else { continue };
        let reason = reason(listing, visited, entry, ran, index == last);
        let key = (entry.place.function.0, entry.place.op, entry.activation);
        match told.get(&key).and_then(|before| reasons.get_mut(*before)) {
            // The same instruction in the next round of a loop.
            Some(before) => *before = reason,
            None => {
                told.insert(key, reasons.len());
                reasons.push(reason);
            }
        }
    }
    reasons
}

fn reason(listing: &Listing, visited: &Visited, entry: Entry, ran: &Ran, last: bool) -> Reason {
    let place = entry.place;
    let noted = visited.note(entry);
    let fault = ran.fault.as_ref().filter(|_| last);
    let what = match (fault, noted.map(|note| &note.what)) {
        (Some(fault), _) => What::Fault(format!("{}: {}", fault.kind.code(), fault.kind)),
        (None, Some(Noted::Branch(branch))) => What::Branch(branch.clone()),
        (None, Some(Noted::Call(call))) => What::Call(call.clone()),
        (None, Some(Noted::Read(place))) => What::Read(place.clone()),
        (None, None) => What::Set,
    };
    Reason {
        at: listing.position(place),
        text: listing.op(place).map(|op| op.text.clone()).unwrap_or_default(),
        times: noted.map_or(1, |note| note.times),
        what,
    }
}

struct Search<'c> {
    code: &'c Code,
    visited: &'c Visited,
    flows: HashMap<FunctionId, Option<Flow<'c>>>,
    found: BTreeSet<usize>,
    /// Branches that were found already, each in its call of the function.
    branches: HashSet<(u32, u32, u32)>,
}

impl<'c> Search<'c> {
    fn flow(&mut self, function: FunctionId) -> Option<&Flow<'c>> {
        let code = self.code;
        let flow = || code.functions.get(function.0 as usize).map(|f| Flow::of(&f.ops));
        self.flows.entry(function).or_insert_with(flow).as_ref()
    }

    fn op(&self, place: Place) -> Option<&'c Op> {
        self.code.functions.get(place.function.0 as usize)?.ops.get(place.op as usize)
    }

    /// The branches that led to what was executed at `index`, through the calls it is within.
    fn control(&mut self, index: usize) {
        let Some(start) = self.visited.get(index) else { return };
        let (mut activation, mut target) = (start.activation, start.place);
        let mut at = index;
        loop {
            let Some(before) = at.checked_sub(1) else { return };
            at = before;
            let Some(entry) = self.visited.get(at) else { return };
            if entry.activation != activation {
                if self.visited.called_at(activation) == Some(at) {
                    (activation, target) = (entry.activation, entry.place);
                }
                continue;
            }
            let decides =
                matches!(self.op(entry.place), Some(Op::Branch { .. } | Op::MayGoto { .. }))
                    && self
                        .flow(entry.place.function)
                        .is_some_and(|flow| flow.decides(entry.place.op, target.op));
            if decides {
                if self.found.len() >= MOST {
                    return;
                }
                // Of a branch that was executed often, the last time is told.
                if self.branches.insert((entry.place.function.0, entry.place.op, activation)) {
                    self.found.insert(at);
                }
                target = entry.place;
            }
        }
    }

    /// What put into a register the content that it has before `end` is executed.
    fn data(&mut self, end: usize, register: Register) {
        let Some(activation) = self.visited.get(end).map(|entry| entry.activation) else { return };
        let mut at = end;
        let mut passed = Vec::new();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            let Some(entry) = self.visited.get(at) else { return };
            if entry.activation != activation {
                continue;
            }
            let Some(op) = self.op(entry.place) else { return };
            if matches!(op, Op::Branch { .. } | Op::MayGoto { .. }) {
                passed.push(at);
            }
            if sets(op, register) {
                // Where another way would have set it, the branch was decisive, too.
                for branch in passed {
                    let Some(entry) = self.visited.get(branch) else { continue };
                    let (place, taken) = (entry.place, entry.taken);
                    let decisive = self
                        .flow(place.function)
                        .is_some_and(|flow| flow.other_way_sets(place.op, taken, register));
                    if decisive {
                        self.found.insert(branch);
                        self.control(branch);
                    }
                }
                self.setter(at, op, register);
                return;
            }
        }
    }

    /// What set a register, and what that was made of.
    fn setter(&mut self, at: usize, op: &Op, register: Register) {
        if self.found.len() >= MOST || !self.found.insert(at) {
            return;
        }
        self.control(at);
        match *op {
            Op::Move { source: Source::Register(from), .. } => {
                // A copy is no reason of its own.
                self.found.remove(&at);
                self.data(at, from);
            }
            Op::Alu { source, .. } => {
                self.data(at, register);
                if let Source::Register(from) = source {
                    self.data(at, from);
                }
            }
            Op::Neg { .. } | Op::Endian { .. } => self.data(at, register),
            Op::Load { .. } => {
                if let Some((stored, source)) = self.visited.spilled(at) {
                    self.found.remove(&at);
                    self.control(stored);
                    self.data(stored, source);
                }
            }
            Op::Call(_) => {
                if let Some(end) = self.visited.last_of_call(at) {
                    self.found.remove(&at);
                    self.control(end);
                    self.data(end, RESULT);
                }
            }
            _ => {}
        }
    }
}
