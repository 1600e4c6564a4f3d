//! Following the paths of one function until nothing new is learnt, then writing down what is known
//! of each operation.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::module::{FunctionId, MapId, Module};

use super::accesses::Access;
use super::effects::{self, Effects};
use super::state::State;
use super::value::{Null, Range, Value};
use super::{Proof, arithmetic};
use crate::userspace::vm::address;
use crate::userspace::vm::code::{AluOp, Condition, Function, Op, Register, Size, Source};

/// Visits of one operation after which what changes is moved out to round numbers.
const PATIENCE: u32 = 3;
/// Steps in one function, as a multiple of its operations, after which nothing is proven.
const STEPS: usize = 64;

/// What is needed to look at any function.
pub(super) struct World<'a> {
    pub(super) module: &'a Module,
    pub(super) effects: Effects,
}

/// Where paths meet, with what is known there.
struct Known {
    state: State,
    visits: u32,
}

pub(super) struct Prover<'a> {
    world: &'a World<'a>,
    function: &'a Function,
    known: BTreeMap<u32, Known>,
    waiting: BTreeSet<u32>,
    /// Operations that are jumped to.
    targets: BTreeSet<u32>,
}

/// What was found out about a function.
pub(super) struct Found {
    /// By operation.
    pub(super) proofs: Vec<Proof>,
    /// What it passes to the functions that it calls.
    pub(super) calls: Vec<(FunctionId, State)>,
}

/// Where control goes after an operation.
enum Next {
    On,
    Stop,
}

impl<'a> Prover<'a> {
    pub(super) fn new(world: &'a World<'a>, function: &'a Function, entry: State) -> Self {
        let jump = |op: &Op| match *op {
            Op::Jump { to } | Op::Branch { to, .. } | Op::MayGoto { to } => Some(to),
            _ => None,
        };
        let targets = function.ops.iter().filter_map(jump).chain([0]).collect();
        let known = BTreeMap::from([(0, Known { state: entry, visits: 0 })]);
        Self { world, function, known, waiting: BTreeSet::from([0]), targets }
    }

    /// What is known of each operation; `None` where it took too long to find out.
    pub(super) fn run(mut self) -> Option<Found> {
        let mut left = STEPS.saturating_mul(self.function.ops.len());
        while let Some(start) = self.waiting.pop_first() {
            let mut state = self.known.get(&start)?.state.clone();
            let mut at = start;
            loop {
                left = left.checked_sub(1)?;
                match self.step(at, &mut state) {
                    Next::Stop => break,
                    Next::On => at += 1,
                }
                if self.targets.contains(&at) {
                    self.arrive(at, state);
                    break;
                }
            }
        }
        let mut proofs = vec![Proof::Unreachable; self.function.ops.len()];
        let mut calls = Vec::new();
        for start in self.known.keys().copied().collect::<Vec<_>>() {
            let mut state = self.known.get(&start)?.state.clone();
            let mut at = start;
            loop {
                *proofs.get_mut(at as usize)? = self.proof(at, &state);
                if let Op::Call(callee) = self.function.ops[at as usize] {
                    calls.push((callee, state.called()));
                }
                match self.step(at, &mut state) {
                    Next::Stop => break,
                    Next::On => at += 1,
                }
                if self.targets.contains(&at) {
                    break;
                }
            }
        }
        Some(Found { proofs, calls })
    }

    /// A path comes to an operation that is jumped to.
    fn arrive(&mut self, at: u32, state: State) {
        match self.known.get_mut(&at) {
            None => {
                self.known.insert(at, Known { state, visits: 0 });
                self.waiting.insert(at);
            }
            Some(known) => {
                known.visits += 1;
                if known.state.meet(&state, at, known.visits > PATIENCE) {
                    self.waiting.insert(at);
                }
            }
        }
    }

    fn source(state: &State, source: Source) -> Value {
        match source {
            Source::Register(register) => state.registers[usize::from(register)],
            Source::Constant(value) => Value::exactly(value),
        }
    }

    fn access(state: &State, base: Register, off: i16, size: Size, write: bool) -> Access {
        Access { base: state.registers[usize::from(base)], off: i64::from(off), size, write }
    }

    /// What is known of an operation.
    fn proof(&self, at: u32, state: &State) -> Proof {
        let access = match self.function.ops[at as usize] {
            Op::Load { base, off, size, .. } | Op::LoadAcquire { base, off, size, .. } => {
                Self::access(state, base, off, size, false)
            }
            Op::Store { base, off, size, .. }
            | Op::StoreRelease { base, off, size, .. }
            | Op::Atomic { base, off, size, .. } => Self::access(state, base, off, size, true),
            Op::Helper(number) => {
                let argument = if number == effects::PERF_EVENT_OUTPUT { 2 } else { 1 };
                return Self::map(state, argument).map_or(Proof::Unknown, Proof::Call);
            }
            Op::TailCall => return Self::map(state, 2).map_or(Proof::Unknown, Proof::Call),
            _ => return Proof::Unknown,
        };
        access.proof(self.world.module, state, self.function.stack)
    }

    fn map(state: &State, register: usize) -> Option<MapId> {
        match state.registers[register] {
            Value::Handle(map) => Some(map),
            _ => None,
        }
    }

    /// What is known after an operation. Jumps have arrived where they go.
    fn step(&mut self, at: u32, state: &mut State) -> Next {
        let number = |register: Register| usize::from(register);
        match self.function.ops[at as usize] {
            Op::Alu { wide, op, dst, source } => {
                let (a, b) = (state.registers[number(dst)], Self::source(state, source));
                let made = if wide {
                    arithmetic::values(state, at, op, a, b)
                } else {
                    Value::Number(arithmetic::numbers(false, op, a.range(), b.range()))
                };
                state.registers[number(dst)] = made;
            }
            Op::Neg { wide, dst } => {
                let (zero, value) = (Range::exactly(0), state.registers[number(dst)].range());
                let range = arithmetic::numbers(wide, AluOp::Sub, zero, value);
                state.registers[number(dst)] = Value::Number(range);
            }
            Op::Move { wide, dst, source, sign_bits } => {
                let value = Self::source(state, source);
                state.registers[number(dst)] = arithmetic::moved(wide, sign_bits, value);
            }
            Op::Endian { order, width, dst } => {
                let value = state.registers[number(dst)];
                state.registers[number(dst)] = arithmetic::ordered(order, width, value);
            }
            Op::LoadImm { dst, value } => state.registers[number(dst)] = self.immediate(value),
            Op::Load { dst, base, off, size, signed } => {
                let access = Self::access(state, base, off, size, false);
                state.registers[number(dst)] = access.loaded(state, signed);
            }
            Op::LoadAcquire { dst, base, off, size } => {
                let access = Self::access(state, base, off, size, false);
                state.registers[number(dst)] = access.loaded(state, false);
            }
            Op::Store { base, off, size, source } => {
                let value = Self::source(state, source);
                Self::access(state, base, off, size, true).stored(state, Some(value));
            }
            Op::StoreRelease { base, off, size, src } => {
                let value = state.registers[number(src)];
                Self::access(state, base, off, size, true).stored(state, Some(value));
            }
            Op::Atomic { op, size, base, off, src } => {
                Self::access(state, base, off, size, true).stored(state, None);
                if op.fetches() {
                    let compares =
                        matches!(op, crate::userspace::vm::code::AtomicOp::CompareExchange);
                    let old = if compares { 0 } else { number(src) };
                    let bits = size.bytes() as u32 * 8;
                    state.registers[old] = Value::Number(Range::bits(bits));
                }
            }
            Op::Jump { to } => {
                self.arrive(to, state.clone());
                return Next::Stop;
            }
            Op::MayGoto { to } => self.arrive(to, state.clone()),
            Op::Branch { wide, cond, left, right, to } => {
                return self.branch(state, wide, cond, left, right, to);
            }
            Op::Call(callee) => {
                state.forget_slots();
                if self.world.effects.call_moves(callee) {
                    state.forget_frame();
                }
                state.registers[0] = Value::UNKNOWN;
            }
            Op::Helper(helper) => self.helper(at, state, helper),
            Op::Kfunc(_) => {
                state.forget_slots();
                state.forget_frame();
                state.registers[0] = Value::UNKNOWN;
            }
            Op::TailCall => state.registers[0] = Value::UNKNOWN,
            Op::Exit | Op::Invalid(_) => return Next::Stop,
        }
        Next::On
    }

    fn immediate(&self, value: u64) -> Value {
        if let Some(map) = address::handled_map(value) {
            return Value::Handle(map);
        }
        match address::valued_map(value) {
            Some((map, off))
                if (map.0 as usize) < self.world.module.maps.len() && off < 1 << 32 =>
            {
                Value::Map { map, at: Range::exactly(off), null: Null::No }
            }
            _ => Value::exactly(value),
        }
    }

    fn helper(&self, at: u32, state: &mut State, helper: u32) {
        if effects::writes(helper) {
            state.forget_slots();
        }
        if self.world.effects.helper_moves(helper) {
            state.forget_frame();
        }
        let map = Self::map(state, 1).filter(|map| {
            helper == effects::LOOKUP && effects::has_values(self.world.module, *map)
        });
        state.registers[0] = match map {
            Some(map) => {
                let null = state.new_null(at);
                Value::Map { map, at: Range::exactly(0), null }
            }
            None => Value::UNKNOWN,
        };
    }

    fn branch(
        &mut self,
        state: &mut State,
        wide: bool,
        cond: Condition,
        left: Register,
        right: Source,
        to: u32,
    ) -> Next {
        let mut taken = state.clone();
        if assume(&mut taken, wide, cond, left, right) {
            self.arrive(to, taken);
        }
        let goes_on = match arithmetic::negated(cond) {
            Some(cond) => assume(state, wide, cond, left, right),
            None => true,
        };
        if goes_on { Next::On } else { Next::Stop }
    }
}

/// What is known once a comparison holds. Returns whether it can.
fn assume(state: &mut State, wide: bool, cond: Condition, left: Register, right: Source) -> bool {
    let a = state.registers[usize::from(left)];
    let b = Prover::source(state, right);
    if wide {
        match (a, b) {
            (Value::Frame { base, off }, Value::End) => {
                before_end(state, cond, base, off);
                return true;
            }
            (Value::End, Value::Frame { base, off }) => {
                before_end(state, mirrored(cond), base, off);
                return true;
            }
            (Value::Map { null: Null::Maybe(number), .. }, Value::Number(zero))
                if zero.constant() == Some(0) =>
            {
                match cond {
                    Condition::Eq | Condition::Le => state.decide(number, true),
                    Condition::Ne | Condition::Gt => state.decide(number, false),
                    _ => {}
                }
                return true;
            }
            _ => {}
        }
    }
    let (Value::Number(ra), Value::Number(rb)) = (a, b) else { return true };
    let half = if wide { 1 << 63 } else { 1 << 31 };
    let word = u64::from(u32::MAX);
    let rb = match (wide, rb.constant()) {
        (false, Some(value)) => Range::exactly(value & word),
        _ => rb,
    };
    if !wide && (ra.high > word || rb.high > word) {
        return true;
    }
    let Some((ra, rb)) = arithmetic::compared(cond, ra, rb, half) else { return false };
    state.registers[usize::from(left)] = Value::Number(ra);
    if let Source::Register(right) = right {
        state.registers[usize::from(right)] = Value::Number(rb);
    }
    true
}

/// An address in the frame was compared with its end.
fn before_end(state: &mut State, cond: Condition, base: u32, off: i64) {
    match cond {
        Condition::Le | Condition::Eq => state.reaches(base, off),
        Condition::Lt => state.reaches(base, off + 1),
        _ => {}
    }
}

/// The comparison with its sides exchanged.
const fn mirrored(cond: Condition) -> Condition {
    match cond {
        Condition::Gt => Condition::Lt,
        Condition::Ge => Condition::Le,
        Condition::Lt => Condition::Gt,
        Condition::Le => Condition::Ge,
        Condition::SignedGt => Condition::SignedLt,
        Condition::SignedGe => Condition::SignedLe,
        Condition::SignedLt => Condition::SignedGt,
        Condition::SignedLe => Condition::SignedGe,
        other => other,
    }
}
