//! Follows every feasible path, each call on its own with its callers' frames visible. States are
//! kept per basic block and joined where paths meet.

use std::collections::HashMap;

use super::super::flow::{Flow, Graph, flow};
use super::super::follow::{self, Budget, Exhausted, Interpreter, Ways};
use super::super::interp::MAX_FRAMES;
use super::super::memory::kconfig;
use super::state::State;
use super::value::{Range, Span, Value};
use super::{Entry, Given, arith, branch};
use crate::analysis::Kinds;
use crate::insn::Insn;
use crate::module::{
    DataSection, ExternKind, Function, FunctionId, Inst, MapId, Module, Resolution, Target,
};
use crate::opcode::{X, access_bytes, alu, atomic, class, jmp, mode, pseudo};

/// Bytes of states kept at once.
const STATE_BYTES: usize = 32 << 20;
/// `BPF_FUNC_map_lookup_elem`, `BPF_FUNC_map_update_elem`.
const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
/// Helpers that write nothing to memory that they are pointed to: map operations, output to rings,
/// checksums, packet stores.
const READ_ONLY: [i32; 10] = [1, 2, 3, 25, 28, 44, 51, 65, 130, 190];

/// One run over a program.
pub(super) struct Interp<'m> {
    module: &'m Module,
    entry: Entry,
    graphs: HashMap<u32, Graph>,
    /// Results of calls that saw no caller's stack: `r0`, or `None` when they never return.
    results: HashMap<(u32, [Value; 5]), Option<Value>>,
    pub(super) given: Vec<Vec<Option<Given>>>,
    pub(super) stack: Vec<u32>,
    /// Functions whose frames are live, outermost first.
    live: Vec<u32>,
    budget: Budget,
}

impl<'m> Interp<'m> {
    pub(super) fn new(module: &'m Module, entry: Entry) -> Self {
        Self {
            module,
            entry,
            graphs: HashMap::new(),
            results: HashMap::new(),
            given: vec![Vec::new(); module.functions.len()],
            stack: vec![0; module.functions.len()],
            live: Vec::new(),
            budget: Budget::default(),
        }
    }

    pub(super) fn program(&mut self, main: FunctionId) -> Result<(), Exhausted> {
        self.run(main, State::entry()).map(|_| ())
    }

    /// Follows a function; the state where it returns, if it does.
    fn run(&mut self, id: FunctionId, entry: State) -> Result<Option<State>, Exhausted> {
        let module = self.module;
        let Some(function) = module.functions.get(id.0 as usize) else { return Ok(None) };
        if function.code.is_empty() {
            return Ok(None);
        }
        let given = &mut self.given[id.0 as usize];
        if given.is_empty() {
            *given = vec![None; function.code.len()];
        }
        let graph = self.graphs.remove(&id.0).unwrap_or_else(|| Graph::of(function));
        self.live.push(id.0);
        let result = self.follow(id, function, &graph, entry);
        self.live.pop();
        self.graphs.insert(id.0, graph);
        result
    }

    fn jump(inst: &Inst, state: &State) -> Ways<Learnt> {
        match flow(inst) {
            Flow::Exit => Ways { exits: true, ..Ways::NONE },
            Flow::Jump => Ways { jump: Some(None), ..Ways::NONE },
            Flow::Branch => {
                let (dst, src) = sides(inst, state);
                let (taken, fallen) = branch::decide(inst.insn, dst, src);
                let learnt = |sides| Some((inst.insn, sides));
                Ways { next: fallen.map(learnt), jump: taken.map(learnt), exits: false }
            }
            Flow::Next => Ways::NEXT,
        }
    }

    /// Writes down what an instruction is given.
    fn note(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &State) {
        let insn = inst.insn;
        let call = insn.is_call();
        let outside = call && !matches!(inst.target, Target::Call(_));
        let (dst, src) = match insn.code == class::JMP | jmp::EXIT {
            true => (state.regs[0], Value::Unset),
            false if call => (Value::Unset, Value::Unset),
            false => sides(inst, state),
        };
        let own = self.live.len() as u8 - 1;
        let other = |v: Value| matches!(v, Value::Stack { frame, .. } if frame != own);
        let args = outside.then(|| std::array::from_fn(|i| state.regs[i + 1]));
        let zero = match args {
            Some(args) if insn.imm == UPDATE => state.zero_bytes(args[2], self.value_size(args[0])),
            _ => Vec::new(),
        };
        let new = Given { dst, src, args, zero, other_frame: other(dst) || other(src) };
        match &mut self.given[id.0 as usize][at] {
            Some(known) => known.join(new),
            none => *none = Some(new),
        }
        if let Some(args) = args {
            args.into_iter().for_each(|arg| self.touch(arg, 0));
        } else if matches!(insn.class(), class::LDX | class::ST | class::STX) {
            let base = if insn.class() == class::LDX { src } else { dst };
            self.touch(base, insn.off);
        }
    }

    fn value_size(&self, map: Value) -> u32 {
        match map {
            Value::Map(Some(id)) => self.module.maps.get(id.0 as usize).map_or(0, |m| m.value_size),
            _ => 0,
        }
    }

    /// Notes that a frame's stack is used down to an offset from its top.
    fn touch(&mut self, pointer: Value, by: i16) {
        let Value::Stack { frame, at } = pointer else { return };
        let low = at.low.saturating_add(i64::from(by));
        if (-512..0).contains(&low)
            && let Some(&function) = self.live.get(usize::from(frame))
        {
            let stack = &mut self.stack[function as usize];
            *stack = (*stack).max(low.unsigned_abs() as u32);
        }
    }

    fn alu(at: usize, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        let copies = insn.code & (0xf0 | X) == alu::MOV | X && insn.off == 0;
        let (dst, src) = sides(inst, state);
        let made = arith::compute(insn, dst, src);
        // A copy of 32 bits is one too where the rest is zero.
        if copies && made == src {
            state.copy(insn.dst(), insn.src(), at as u32 + 1);
        } else {
            state.set(insn.dst(), made);
        }
    }

    fn wide(&self, inst: &Inst) -> Value {
        let at = |map, offset: u32| Value::MapValue {
            map: Some(map),
            at: Span::exactly(i64::from(offset)),
            null: false,
        };
        match inst.target {
            Target::Map(map) => Value::Map(Some(map)),
            Target::MapValue { map, offset } => at(map, offset),
            Target::FunctionAddress(_) => Value::Function,
            Target::None => {
                let high = inst.wide_imm.unwrap_or(0) as u32;
                Value::exactly(u64::from(high) << 32 | u64::from(inst.insn.imm as u32))
            }
            Target::Extern(id) => match self.module.externs.get(id.0 as usize) {
                Some(e) => match (e.resolution, e.kind) {
                    (Resolution::Absent, _) => Value::exactly(0),
                    (Resolution::Value, ExternKind::Kconfig { offset, .. }) => {
                        kconfig(self.module).map_or(Value::ANY, |map| at(map, offset))
                    }
                    _ => Value::Other,
                },
                None => Value::ANY,
            },
            _ => Value::ANY,
        }
    }

    fn load(&self, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        let (base, bytes) = (state.reg(insn.src()), access_bytes(insn.code));
        let any = Value::Number(Range::bits(u32::from(bytes) * 8));
        let loaded = match base {
            Value::Context => match (self.entry, insn.off) {
                (Entry::Xdp, 0) | (Entry::Classifier, 76) => Value::Packet(Span::exactly(0)),
                (Entry::Xdp, 4) | (Entry::Classifier, 80) => Value::PacketEnd,
                (Entry::Xdp, 8) | (Entry::Classifier, 140) => Value::Metadata,
                _ => any,
            },
            Value::Stack { frame, at } => state.load(frame, at.moved(i64::from(insn.off)), bytes),
            Value::MapValue { map: Some(map), at, .. } => {
                let offset = at.moved(i64::from(insn.off)).constant();
                let frozen = offset.and_then(|offset| self.frozen(map, offset, bytes));
                frozen.map_or(any, Value::exactly)
            }
            _ => any,
        };
        let extends = insn.code & 0xe0 == mode::MEMSX;
        state.set(insn.dst(), if extends { Value::ANY } else { loaded });
    }

    /// Bytes that no one can change once the program is loaded.
    fn frozen(&self, map: MapId, offset: i64, bytes: u8) -> Option<u64> {
        let map = self.module.maps.get(map.0 as usize)?;
        if !matches!(map.section?, DataSection::Rodata | DataSection::Kconfig) {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        let data = map.data.get(offset..)?.get(..usize::from(bytes))?;
        let mut word = [0; 8];
        word[..data.len()].copy_from_slice(data);
        Some(u64::from_le_bytes(word))
    }

    fn store(&self, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        let value = match insn.class() {
            class::ST => Value::exactly(insn.imm as i64 as u64),
            _ => state.reg(insn.src()),
        };
        let bytes = access_bytes(insn.code);
        match state.reg(insn.dst()) {
            Value::Stack { frame, at } => {
                state.store(frame, at.moved(i64::from(insn.off)), bytes, value);
            }
            base if base.kinds().contains(Kinds::STACK) => state.clobber(base),
            _ => {}
        }
    }

    fn atomic(&self, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        match insn.imm {
            atomic::LOAD_ACQUIRE => return self.load(inst, state),
            atomic::STORE_RELEASE => return self.store(inst, state),
            _ => {}
        }
        let base = state.reg(insn.dst());
        if base.kinds().contains(Kinds::STACK) {
            state.clobber(base);
        }
        let before = Value::Number(Range::bits(u32::from(access_bytes(insn.code)) * 8));
        if insn.imm == atomic::CMPXCHG {
            state.set(0, before);
        } else if insn.imm & atomic::FETCH != 0 {
            state.set(insn.src(), before);
        }
    }

    /// Follows a call; `false` when it never returns.
    fn call(&mut self, inst: &Inst, state: &mut State) -> Result<bool, Exhausted> {
        let args: [Value; 5] = std::array::from_fn(|i| state.regs[i + 1]);
        let result = match inst.target {
            Target::Call(callee) => match self.subprogram(callee, args, state)? {
                Some(value) => value,
                None => return Ok(false),
            },
            _ => {
                let helper = inst.insn.src() == pseudo::HELPER_CALL;
                if !helper || !READ_ONLY.contains(&inst.insn.imm) {
                    let pointers = args.into_iter().filter(|a| a.kinds().contains(Kinds::STACK));
                    pointers.for_each(|pointer| state.clobber(pointer));
                }
                match args[0] {
                    Value::Map(map) if helper && inst.insn.imm == LOOKUP => {
                        Value::MapValue { map, at: Span::exactly(0), null: true }
                    }
                    _ => Value::ANY,
                }
            }
        };
        state.set(0, result);
        for register in 1..6 {
            state.set(register, Value::Unset);
        }
        Ok(true)
    }

    fn subprogram(
        &mut self,
        id: FunctionId,
        mut args: [Value; 5],
        state: &mut State,
    ) -> Result<Option<Value>, Exhausted> {
        if self.live.len() >= MAX_FRAMES {
            return Ok(Some(Value::ANY));
        }
        let global = self.module.judged_alone(id);
        if global {
            for arg in &mut args {
                *arg = match arg {
                    Value::Number(_) => Value::ANY,
                    Value::Context | Value::Unset => *arg,
                    _ => Value::Other,
                };
            }
        }
        let alone = args.iter().all(|a| !a.kinds().contains(Kinds::STACK));
        if alone && let Some(&known) = self.results.get(&(id.0, args)) {
            return Ok(known);
        }
        let exit = self.run(id, state.callee(args))?;
        let result = exit.as_ref().map(|s| if global { Value::ANY } else { s.regs[0] });
        if alone {
            self.results.insert((id.0, args), result);
        } else if let Some(exit) = exit {
            state.take_frames(exit);
        }
        if global {
            state.clobber(Value::Mixed(Kinds::STACK));
        }
        Ok(result)
    }
}

/// A comparison, and what one of its ways tells of its two sides.
type Learnt = (Insn, branch::Sides);

impl Interpreter for Interp<'_> {
    type State = State;

    fn budget(&mut self) -> (&mut Budget, usize) {
        (&mut self.budget, STATE_BYTES)
    }

    fn block(
        &mut self,
        id: FunctionId,
        function: &Function,
        range: std::ops::Range<u32>,
        state: &mut State,
    ) -> Result<Ways<Learnt>, Exhausted> {
        self.spend(range.len())?;
        for at in range.start as usize..range.end as usize {
            let inst = &function.code[at];
            let insn = inst.insn;
            self.note(id, at, inst, state);
            match insn.class() {
                class::JMP if insn.code & 0xf0 == jmp::CALL => {
                    if !self.call(inst, state)? {
                        return Ok(Ways::NONE);
                    }
                }
                class::JMP | class::JMP32 => return Ok(Self::jump(inst, state)),
                class::ALU | class::ALU64 => Self::alu(at, inst, state),
                class::LD if insn.is_wide() => state.set(insn.dst(), self.wide(inst)),
                class::LD => state.set(0, Value::Number(Range::WORD)),
                class::LDX => self.load(inst, state),
                _ if insn.code & 0xe0 == mode::ATOMIC => self.atomic(inst, state),
                _ => self.store(inst, state),
            }
        }
        Ok(Ways::NEXT)
    }
}

impl follow::State for State {
    type Learnt = Learnt;

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn merge(&mut self, other: &Self, widen: bool) -> bool {
        self.merge(other, widen)
    }

    fn learning<R>(&mut self, (insn, sides): Learnt, told: impl FnOnce(&Self) -> R) -> R {
        let mut there = self.clone();
        there.learn(insn.dst(), sides.0);
        if insn.code & X != 0 {
            there.learn(insn.src(), sides.1);
        }
        told(&there)
    }
}

impl Given {
    fn join(&mut self, other: Self) {
        self.dst = self.dst.join(other.dst, false);
        self.src = self.src.join(other.src, false);
        match (&mut self.args, other.args) {
            (Some(mine), Some(theirs)) => {
                for (mine, theirs) in mine.iter_mut().zip(theirs) {
                    *mine = mine.join(theirs, false);
                }
            }
            (mine, theirs) => *mine = mine.or(theirs),
        }
        if self.zero.len() == other.zero.len() {
            for (mine, theirs) in self.zero.iter_mut().zip(other.zero) {
                *mine = (mine.0 && theirs.0, mine.1 && theirs.1);
            }
        } else {
            self.zero.fill((false, false));
        }
        self.other_frame |= other.other_frame;
    }
}

/// Destination and source of an instruction.
fn sides(inst: &Inst, state: &State) -> (Value, Value) {
    let insn = inst.insn;
    let register = match insn.class() {
        class::ALU | class::ALU64 | class::JMP | class::JMP32 => insn.code & X != 0,
        class::LDX | class::STX => true,
        _ => false,
    };
    let src = if register { state.reg(insn.src()) } else { Value::exactly(insn.imm as i64 as u64) };
    (state.reg(insn.dst()), src)
}
