//! Keeps what a run does: where it went, and of the instructions that are listed everything.

use std::collections::HashMap;
use std::ops::ControlFlow;

use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::module::{MapId, Module};
use hoist_bpf::names;

use super::listing::{Listing, parameter_names};
use super::naming::{self, Hex, Names, Scope, number};
use super::pointers::{Pointers, Spilled};
use super::steps::{Access, Branch, Call, Effect, Register, Setting, State, Step, Stored};
use super::visited::{Entry, Noted, Visited};
use super::{Options, Part, calls};
use crate::userspace::vm::code::{self, Condition, Op, Source};
use crate::userspace::vm::fault::FaultKind;
use crate::userspace::vm::observer::{MapEffect, Observer, Place, Registers};
use crate::userspace::vm::{Ran, Running, address};

/// Registers that there are.
const REGISTERS: [&str; 11] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10"];

/// One call of a function that has not returned.
#[derive(Debug)]
struct Active {
    number: u32,
    place: Place,
    pointers: Pointers,
}

/// An instruction that is being executed.
#[derive(Debug)]
struct Pending {
    index: usize,
    entry: Entry,
    before: Registers,
    pointers: Pointers,
    step: Option<usize>,
    read: Option<(u64, u64)>,
    wrote: Option<(u64, u64)>,
}

/// Observes one run.
pub(super) struct Recorder<'a> {
    module: &'a Module,
    btf: Option<Btf>,
    listing: &'a Listing,
    options: &'a Options<'a>,
    names: Names<'a>,
    pub(super) visited: Visited,
    pub(super) steps: Vec<Step>,
    pub(super) left_out: u64,
    pub(super) stopped: Option<Place>,
    active: Vec<Active>,
    /// `r10` and name of each active function.
    stacks: Vec<(u64, String)>,
    pending: Vec<Pending>,
    /// The last branch, until it is seen where it led, with its step.
    branch: Option<(usize, Option<usize>, u32)>,
    spilled: Spilled,
    /// What was stored from a register, by address: the entry and the register.
    stored: HashMap<u64, (usize, code::Register)>,
    /// What is on the stack as far as the program wrote it.
    stack: std::collections::BTreeMap<u64, u8>,
    /// Position of the data when the frame came.
    origin: Option<u32>,
    bounds: Option<Setting>,
    /// Whether the last instruction of the innermost function was at a break.
    at_break: bool,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("executed", &self.visited.len()).finish_non_exhaustive()
    }
}

impl<'a> Recorder<'a> {
    pub(super) fn new(module: &'a Module, listing: &'a Listing, options: &'a Options<'a>) -> Self {
        Self {
            module,
            btf: Btf::parse(&module.btf).ok(),
            listing,
            options,
            names: Names::new(module, listing),
            visited: Visited::default(),
            steps: Vec::new(),
            left_out: 0,
            stopped: None,
            active: Vec::new(),
            stacks: Vec::new(),
            pending: Vec::new(),
            branch: None,
            spilled: Spilled::default(),
            stored: HashMap::new(),
            stack: std::collections::BTreeMap::new(),
            origin: None,
            bounds: None,
            at_break: false,
        }
    }

    /// The run is over.
    pub(super) fn done(mut self, ran: &Ran) -> Self {
        if let (Some(fault), Some(pending)) = (&ran.fault, self.pending.first())
            && self.stopped.is_none()
            && let Some(step) = pending.step.and_then(|at| self.steps.get_mut(at))
        {
            step.fault = Some(fault.kind.code());
        }
        self
    }

    fn scope(&self, run: Option<&Running<'_>>) -> Scope<'_> {
        let data = self.origin.or_else(|| run.map(|run| run.frame.data)).unwrap_or_default();
        Scope { stacks: &self.stacks, data }
    }

    /// A register's content in words.
    fn named(&self, registers: &Registers, pointers: Pointers, register: code::Register) -> String {
        let value = registers.get(usize::from(register)).copied().unwrap_or_default();
        self.names.value(value, pointers.has(register), &self.scope(None))
    }

    /// Follows calls and returns by where the stack is.
    fn follow(&mut self, at: Place, registers: &Registers) {
        let top = registers[10];
        let result = self.active.last().is_some_and(|active| active.pointers.has(0));
        while self.stacks.last().is_some_and(|(last, _)| *last < top) {
            self.stacks.pop();
            self.active.pop();
            if let Some(active) = self.active.last_mut() {
                active.pointers.set(0, result);
            }
        }
        let last = self.visited.len().checked_sub(1);
        let same = self.stacks.last().is_some_and(|(last, _)| *last == top);
        let caller = self.active.last();
        let handed_over = same
            && at.op == 0
            && caller.is_some_and(|active| {
                active.place.function != at.function || self.ended_by_tail_call(last)
            });
        if same && !handed_over {
            if let Some(active) = self.active.last_mut() {
                active.place = at;
            }
            return;
        }
        let pointers = match caller {
            None => Pointers::ENTRY,
            Some(_) if handed_over => Pointers::ENTRY,
            Some(_) if self.pending.last().is_some() => Pointers::callback(registers),
            Some(caller) => caller.pointers.callee(),
        };
        if handed_over {
            self.active.pop();
            self.stacks.pop();
        }
        let number = self.visited.begin();
        self.active.push(Active { number, place: at, pointers });
        self.stacks.push((top, self.listing.name(at.function).to_owned()));
        self.at_break = false;
    }

    /// Whether the program handed over to another one, maybe itself.
    fn ended_by_tail_call(&self, last: Option<usize>) -> bool {
        let entry = last.and_then(|last| self.visited.get(last));
        entry.is_some_and(|entry| {
            let text = self.listing.op(entry.place).map_or("", |op| op.text.as_str());
            text.starts_with("call bpf_tail_call")
        })
    }

    /// Notes where the last branch led.
    fn settle(&mut self, at: Place) {
        let Some((index, step, to)) = self.branch.take() else { return };
        let taken = at.op == to;
        self.visited.settle(index, taken);
        if let Some(branch) =
            step.and_then(|s| self.steps.get_mut(s)).and_then(|s| s.branch.as_mut())
        {
            branch.taken = taken;
        }
    }

    /// The step for an instruction that is listed; `None` for one that is not.
    fn begin_step(&mut self, at: Place, number: u64, state: Option<Box<State>>) -> Option<usize> {
        if self.steps.len() >= self.options.limit {
            self.left_out += 1;
            return None;
        }
        let op = self.listing.op(at);
        self.steps.push(Step {
            number,
            depth: self.active.len().saturating_sub(1),
            activation: self.active.last().map_or(0, |active| active.number),
            function: self.listing.name(at.function).to_owned(),
            slot: op.map_or(0, |op| op.slot),
            line: op.and_then(|op| op.line.clone()),
            text: op.map(|op| op.text.clone()).unwrap_or_default(),
            state,
            registers: Vec::new(),
            memory: Vec::new(),
            call: None,
            maps: Vec::new(),
            branch: None,
            frame: None,
            fault: None,
        });
        Some(self.steps.len() - 1)
    }

    fn state(&self, registers: &Registers, run: &Running<'_>) -> Box<State> {
        let pointers = self.active.last().map_or(Pointers::ENTRY, |active| active.pointers);
        let all = REGISTERS.iter().zip(registers).enumerate();
        let scope = self.scope(Some(run));
        let top = registers[10];
        let mut stack: Vec<Stored> = Vec::new();
        for (&address, &byte) in self.stack.range(top.saturating_sub(address::STACK_FRAME)..top) {
            let start = address & !7;
            let place = self.names.address(start, &scope).unwrap_or_default();
            match stack.last_mut().filter(|stored| stored.place == place) {
                Some(stored) => {
                    stored.bytes.resize((address - start) as usize, 0);
                    stored.bytes.push(byte);
                }
                None => {
                    let mut bytes = vec![0; (address - start) as usize];
                    bytes.push(byte);
                    stack.push(Stored { place, bytes, means: None });
                }
            }
            if self.spilled.has(start)
                && let Some(stored) = stack.last_mut()
                && let Ok(bytes) = <[u8; 8]>::try_from(&stored.bytes[..])
            {
                stored.means = self.names.address(u64::from_ne_bytes(bytes), &scope);
            }
        }
        Box::new(State {
            registers: all
                .map(|(at, (name, value))| Register {
                    name,
                    value: *value,
                    means: self.names.value(*value, pointers.has(at as u8), &scope),
                })
                .collect(),
            stack,
            frame: naming::setting(&run.frame, self.origin.unwrap_or(run.frame.data)),
        })
    }

    /// What was compared.
    fn compared(&self, op: &Op, registers: &Registers, pointers: Pointers) -> Option<Branch> {
        let Op::Branch { wide, cond, left, right, .. } = *op else { return None };
        let of = |register: code::Register| match wide {
            true => self.named(registers, pointers, register),
            false => {
                let value = registers.get(usize::from(register)).copied().unwrap_or_default();
                number(u64::from(value as u32))
            }
        };
        let right = match right {
            Source::Register(register) => of(register),
            Source::Constant(value) if wide => number(value),
            Source::Constant(value) => number(u64::from(value as u32)),
        };
        Some(Branch { left: of(left), operator: operator(cond), right, taken: false })
    }

    /// What is called, before it runs.
    fn call(&self, op: &Op, registers: &Registers, pointers: Pointers) -> Option<Call> {
        let (name, parameters): (String, Option<Vec<String>>) = match *op {
            Op::Helper(id) => {
                let known = calls::parameters(id);
                (names::helper(id), known.map(|p| p.iter().map(|&p| p.to_owned()).collect()))
            }
            Op::TailCall => {
                let parameters = calls::parameters(12).unwrap_or_default();
                (names::helper(12), Some(parameters.iter().map(|&p| p.to_owned()).collect()))
            }
            Op::Kfunc(id) => {
                let external = self.module.externs.get(id.0 as usize)?;
                (external.name.clone(), self.kfunc_parameters(external.btf_type_id))
            }
            Op::Call(function) => {
                let parameters = self.listing.parameters(function);
                (self.listing.name(function).to_owned(), Some(parameters.to_vec()))
            }
            _ => return None,
        };
        let parameters = parameters.unwrap_or_else(|| vec![String::new(); 5]);
        let arguments = parameters.into_iter().zip(1..=5_u8);
        let arguments =
            arguments.map(|(name, register)| (name, self.named(registers, pointers, register)));
        Some(Call { name, arguments: arguments.collect(), returned: None })
    }

    fn kfunc_parameters(&self, declared: Option<u32>) -> Option<Vec<String>> {
        let btf = self.btf.as_ref()?;
        let function = btf.type_by_id(declared?).filter(|t| t.kind() == Kind::Func)?;
        parameter_names(btf, function.size_or_type())
    }

    /// Registers that an operation changed.
    fn changed(&self, pending: &Pending, after: &Registers, pointers: Pointers) -> Vec<Register> {
        let both = pending.before.iter().zip(after).zip(REGISTERS).enumerate();
        both.filter(|(_, ((before, after), _))| before != after)
            .map(|(at, ((_, value), name))| Register {
                name,
                value: *value,
                means: self.named(after, pointers, at as u8),
            })
            .collect()
    }

    fn access(&mut self, write: bool, address: u64, size: u64, value: u64, before: Option<u64>) {
        let place = self
            .names
            .address(address, &self.scope(None))
            .unwrap_or_else(|| format!("{address:#x}"));
        let bytes = in_memory(value, size);
        let before = before.map(|before| in_memory(before, size)).filter(|before| *before != bytes);
        if write && address::tag(address) == address::STACK_TAG {
            self.stack.extend((address..).zip(bytes.iter().copied()));
        }
        let Some(pending) = self.pending.last_mut() else { return };
        *(if write { &mut pending.wrote } else { &mut pending.read }) = Some((address, size));
        if let Some(step) = pending.step.and_then(|at| self.steps.get_mut(at)) {
            step.memory.push(Access { write, place, bytes, before: before.unwrap_or_default() });
        }
    }

    fn words(&self, map: MapId, part: Part, bytes: &[u8]) -> Option<String> {
        let words = (self.options.decode)(map, part, bytes);
        Some(words.unwrap_or_else(|| format!("0x{}", Hex(bytes))))
    }
}

impl Observer for Recorder<'_> {
    fn before(
        &mut self,
        at: Place,
        op: &Op,
        registers: &Registers,
        run: &Running<'_>,
    ) -> ControlFlow<()> {
        self.origin.get_or_insert(run.frame.data);
        self.settle(at);
        if self.options.until.contains(at) {
            self.stopped = Some(at);
            return ControlFlow::Break(());
        }
        self.follow(at, registers);
        let Some(active) = self.active.last() else { return ControlFlow::Continue(()) };
        let (activation, pointers) = (active.number, active.pointers);
        let entry = Entry { place: at, activation, taken: false };
        let index = self.visited.push(entry);
        let breaks = &self.options.breaks;
        let here = breaks.contains(at);
        let reached = here && !self.at_break;
        self.at_break = here;
        let step = (here || breaks.is_empty())
            .then(|| {
                let state = reached.then(|| self.state(registers, run));
                self.begin_step(at, index as u64 + 1, state)
            })
            .flatten();
        self.bounds.get_or_insert(naming::setting(&run.frame, run.frame.data));
        if let Some(branch) = self.compared(op, registers, pointers) {
            if let Some(step) = step.and_then(|at| self.steps.get_mut(at)) {
                step.branch = Some(branch.clone());
            }
            self.visited.noted(entry, Noted::Branch(branch), None);
        }
        if let Op::Branch { to, .. } | Op::MayGoto { to } = op {
            self.branch = Some((index, step, *to));
        }
        if let Some(call) = self.call(op, registers, pointers) {
            if let Some(step) = step.and_then(|at| self.steps.get_mut(at)) {
                step.call = Some(call.clone());
            }
            self.visited.noted(entry, Noted::Call(call), None);
        }
        if !matches!(op, Op::Call(_) | Op::Exit) {
            let before = *registers;
            let (read, wrote) = (None, None);
            self.pending.push(Pending { index, entry, before, pointers, step, read, wrote });
        }
        ControlFlow::Continue(())
    }

    fn after(&mut self, at: Place, op: &Op, registers: &Registers, run: &Running<'_>) {
        if matches!(op, Op::Call(_) | Op::Exit) {
            return;
        }
        let Some(pending) = self.pending.pop_if(|pending| pending.entry.place == at) else {
            return;
        };
        // Callbacks that a helper ran are over.
        while self.stacks.last().is_some_and(|(top, _)| *top < registers[10]) {
            self.stacks.pop();
            self.active.pop();
        }
        let mut pointers = pending.pointers;
        pointers.follow(op, pending.read, pending.wrote, registers[0], &mut self.spilled);
        if let Some(active) = self.active.last_mut() {
            active.pointers = pointers;
        }
        match (op, pending.wrote, pending.read) {
            (Op::Store { source: Source::Register(source), .. }, Some((address, _)), _) => {
                self.stored.insert(address, (pending.index, *source));
            }
            (Op::Load { .. }, _, Some((address, _))) => {
                let stack = address::tag(address) == address::STACK_TAG;
                let origin = self.stored.get(&address).copied().filter(|_| stack);
                let place = self.names.address(address, &self.scope(None)).unwrap_or_default();
                self.visited.noted(pending.entry, Noted::Read(place), origin);
            }
            _ => {}
        }
        let changed = self.changed(&pending, registers, pointers);
        let frame = naming::setting(&run.frame, self.origin.unwrap_or_default());
        let moved = self.bounds.replace(frame).is_some_and(|before| before != frame);
        let returned = matches!(op, Op::Helper(_) | Op::Kfunc(_) | Op::TailCall).then(|| {
            match pointers.has(0) {
                true => self.named(registers, pointers, 0),
                false => naming::returned(registers[0]),
            }
        });
        if let Some(returned) = &returned {
            self.visited.returned(pending.entry, returned);
        }
        if let Some(step) = pending.step.and_then(|at| self.steps.get_mut(at)) {
            step.registers = changed;
            step.frame = moved.then_some(frame);
            if let Some(call) = &mut step.call {
                call.returned = returned;
            }
        }
    }

    fn read(&mut self, _at: Place, address: u64, size: u64, value: u64) {
        self.access(false, address, size, value, None);
    }

    fn wrote(&mut self, _at: Place, address: u64, size: u64, before: u64, value: u64) {
        self.access(true, address, size, value, Some(before));
    }

    fn map(&mut self, map: MapId, effect: MapEffect<'_>) {
        let step = self.pending.last().and_then(|pending| pending.step);
        let (operation, key, value, success) = match effect {
            MapEffect::Looked { key, found } => {
                if let Some(address) = found {
                    self.names.found(map, address);
                }
                ("lookup", Some(key), None, found.is_some())
            }
            MapEffect::Updated { key, value, returned } => {
                ("update", Some(key), Some(value), returned == 0)
            }
            MapEffect::Deleted { key, returned } => ("delete", Some(key), None, returned == 0),
            MapEffect::Pushed { value, returned } => ("push", None, Some(value), returned == 0),
        };
        if step.is_none() {
            return;
        }
        let effect = Effect {
            map: self.names.map(map),
            operation,
            key: key.and_then(|key| self.words(map, Part::Key, key)),
            value: value.and_then(|value| self.words(map, Part::Value, value)),
            success,
        };
        if let Some(step) = step.and_then(|at| self.steps.get_mut(at)) {
            step.maps.push(effect);
        }
    }

    fn fault(&mut self, at: Place, kind: &FaultKind) {
        let pending = self.pending.iter().rev().find(|pending| pending.entry.place == at);
        if let Some(step) = pending.and_then(|p| p.step).and_then(|at| self.steps.get_mut(at)) {
            step.fault = Some(kind.code());
        }
    }
}

/// The lowest bytes of a value in the order of memory.
fn in_memory(value: u64, size: u64) -> Vec<u8> {
    let size = size.min(8) as usize;
    match cfg!(target_endian = "little") {
        true => value.to_le_bytes()[..size].to_vec(),
        false => value.to_be_bytes()[8 - size..].to_vec(),
    }
}

const fn operator(condition: Condition) -> &'static str {
    match condition {
        Condition::Eq => "==",
        Condition::Ne => "!=",
        Condition::Gt => ">",
        Condition::Ge => ">=",
        Condition::Lt => "<",
        Condition::Le => "<=",
        Condition::Set => "&",
        Condition::SignedGt => "s>",
        Condition::SignedGe => "s>=",
        Condition::SignedLt => "s<",
        Condition::SignedLe => "s<=",
    }
}
