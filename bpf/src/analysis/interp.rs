//! The abstract interpretation: follows every feasible path of a program through its subprograms
//! and callbacks, each call on its own with its callers' frames visible, as the verifier does.
//!
//! States are kept per basic block and joined, so the work is bounded by the size of the code and
//! not by the number of its paths; a budget of steps and memory bounds it for hostile code.

use std::collections::HashMap;

use super::branch;
use super::flow::{Flow, Graph, flow};
use super::follow::{self, Budget, Interpreter, Ways};
use super::marks::{FunctionMarks, Mark};
use super::state::State;
use super::value::{NO_OFFSET, Rest, Value, kind};
use crate::module::{Function, FunctionId, Inst, Module};
use crate::opcode::{X, alu, class, jmp, mode};

pub(super) use super::follow::Exhausted;

/// Frames the kernel allows (`MAX_CALL_FRAMES`).
pub(super) const MAX_FRAMES: usize = 8;
/// Bytes of states kept at once, where not following the code costs little: claims are then weaker.
const STATE_BYTES: usize = 8 << 20;
/// The same where the code cannot be used unless it is followed.
const MOST_STATE_BYTES: usize = 32 << 20;
/// Calls whose arguments are noted, and uses of the context that are told.
pub(super) const MOST_SITES: usize = 1 << 16;

/// One run over a program and the programs it tail-calls.
pub(super) struct Interp<'m> {
    pub(super) module: &'m Module,
    pub(super) marks: Vec<FunctionMarks>,
    graphs: HashMap<u32, Graph>,
    /// Results of calls that saw no caller's stack: `r0`, or `None` when they never return.
    pub(super) results: HashMap<(u32, [Value; 5]), Option<Value>>,
    /// What calls of helpers and kernel functions were given in `r1` to `r5`, by function and
    /// position; `None` when nobody asked.
    pub(super) sites: Option<HashMap<(u32, u32), [Value; 5]>>,
    /// What each load and store goes through, by function and position; `None` when nobody asked.
    pub(super) bases: Option<HashMap<(u32, u32), Value>>,
    /// Functions whose frames are live, outermost first.
    pub(super) live: Vec<u32>,
    budget: Budget,
}

impl<'m> Interp<'m> {
    pub(super) fn new(module: &'m Module) -> Self {
        Self {
            module,
            marks: vec![FunctionMarks::default(); module.functions.len()],
            graphs: HashMap::new(),
            results: HashMap::new(),
            sites: None,
            bases: None,
            live: Vec::new(),
            budget: Budget::default(),
        }
    }

    /// Follows a program from its entry.
    pub(super) fn program(&mut self, function: FunctionId) -> Result<(), Exhausted> {
        self.live.clear();
        self.run(function, State::entry())?;
        Ok(())
    }

    /// Notes what a call is given, and whether it is made with a packet pointer at hand.
    pub(super) fn note_call(
        &mut self,
        id: FunctionId,
        at: usize,
        state: &State,
    ) -> Result<(), Exhausted> {
        let Some(sites) = &mut self.sites else { return Ok(()) };
        let args: [Value; 5] = std::array::from_fn(|i| state.regs[i + 1]);
        if sites.len() >= MOST_SITES {
            return Err(Exhausted);
        }
        sites
            .entry((id.0, at as u32))
            .and_modify(|known| {
                for (known, arg) in known.iter_mut().zip(args) {
                    *known = known.join(arg);
                }
            })
            .or_insert(args);
        let packet = kind::PACKET | kind::PACKET_END | kind::META;
        for (register, mark) in Mark::HOLDERS {
            if state.regs[register].kinds() & packet != 0 {
                self.note(id, at, mark);
            }
        }
        Ok(())
    }

    /// Follows a function; the state where it returns, if it does.
    pub(super) fn run(&mut self, id: FunctionId, entry: State) -> Result<Option<State>, Exhausted> {
        let module = self.module;
        let Some(function) = module.functions.get(id.0 as usize) else { return Ok(None) };
        if function.code.is_empty() {
            return Ok(None);
        }
        let index = id.0 as usize;
        if self.marks[index].insts.is_empty() {
            self.marks[index].insts = vec![Mark::empty(); function.code.len()];
            self.marks[index].bases = vec![0; function.code.len()];
        }
        let graph = self.graphs.remove(&id.0).unwrap_or_else(|| Graph::of(function));
        self.live.push(id.0);
        let result = self.follow(id, function, &graph, entry);
        self.live.pop();
        self.graphs.insert(id.0, graph);
        result
    }

    fn jump(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &State) -> Ways<Learnt> {
        let mut ways = Ways::NONE;
        match flow(inst) {
            Flow::Exit => {
                if self.live.len() == 1 {
                    self.note(id, at, verdict(state.regs[0]));
                }
                ways.exits = true;
            }
            Flow::Jump => ways.jump = Some(None),
            Flow::Branch => {
                let dst = inst.insn.dst();
                let decided =
                    branch::decide(inst.insn, reg(state, dst), reg(state, inst.insn.src()));
                let refined = |v: Value| (dst <= 9).then_some((dst, v));
                ways.jump = decided.taken.map(refined);
                ways.next = decided.fallen.map(refined);
            }
            Flow::Next => ways.next = Some(None),
        }
        if ways.jump.is_some() {
            self.note(id, at, Mark::TAKEN);
        }
        if ways.next.is_some() {
            self.note(id, at, Mark::FALLEN);
        }
        ways
    }

    pub(super) fn note(&mut self, id: FunctionId, at: usize, mark: Mark) {
        self.marks[id.0 as usize].insts[at] |= mark;
    }

    /// Notes that a function uses its stack down to an offset from its top.
    pub(super) fn touch_stack(&mut self, frame: u8, offset: i32) {
        if offset == NO_OFFSET || offset >= 0 {
            return;
        }
        if let Some(&function) = self.live.get(usize::from(frame)) {
            let stack = &mut self.marks[function as usize].stack;
            *stack = (*stack).max(offset.unsigned_abs());
        }
    }

    /// Notes what kinds of pointer a load or store goes through.
    pub(super) fn note_base(&mut self, id: FunctionId, at: usize, base: Value) {
        self.marks[id.0 as usize].bases[at] |= base.kinds();
        if let Some(bases) = &mut self.bases {
            let known = bases.entry((id.0, at as u32)).or_insert(base);
            *known = known.join(base);
        }
    }

    fn step(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &mut State) {
        match inst.insn.class() {
            class::ALU | class::ALU64 => {
                let sums = matches!(inst.insn.code & 0xf0, alu::ADD | alu::SUB);
                if sums
                    && inst.insn.code & X != 0
                    && reg(state, inst.insn.src()).kinds() & kind::MAP_VALUE != 0
                {
                    self.note(id, at, Mark::ADDS_MAP_VALUE);
                }
                super::arith::apply(inst.insn, state);
                // What is accessed from here on at offsets that are not known is the stack's too.
                if self.bases.is_some()
                    && let Value::Stack { frame, offset } = reg(state, inst.insn.dst())
                {
                    self.touch_stack(frame, offset);
                }
                let moves = inst.insn.code & 0xf0 != alu::MOV;
                if moves && reg(state, inst.insn.dst()).kinds() & kind::CTX != 0 {
                    self.note(id, at, Mark::CONTEXT_MOVED);
                }
            }
            class::LD if inst.insn.is_wide() => {
                set(state, inst.insn.dst(), super::memory::wide(self.module, inst));
            }
            class::LD => state.regs[0] = Value::ANY,
            class::LDX => self.load(id, at, inst, state),
            _ if inst.insn.code & 0xe0 == mode::ATOMIC => self.atomic(id, at, inst, state),
            _ => self.store(id, at, inst, state),
        }
    }
}

/// A register, and what it holds on one way.
type Learnt = (u8, Value);

impl Interpreter for Interp<'_> {
    type State = State;

    fn budget(&mut self) -> (&mut Budget, usize) {
        let most = if self.sites.is_some() { MOST_STATE_BYTES } else { STATE_BYTES };
        (&mut self.budget, most)
    }

    fn block(
        &mut self,
        id: FunctionId,
        function: &Function,
        range: std::ops::Range<u32>,
        state: &mut State,
    ) -> Result<Ways<Learnt>, Exhausted> {
        self.spend(range.len() + state.frames.len())?;
        for at in range.start as usize..range.end as usize {
            let inst = &function.code[at];
            self.note(id, at, Mark::REACHED);
            match inst.insn.class() {
                class::JMP if inst.insn.code & 0xf0 == jmp::CALL => {
                    if !self.call(id, at, inst, state)? {
                        return Ok(Ways::NONE);
                    }
                }
                class::JMP | class::JMP32 => return Ok(self.jump(id, at, inst, state)),
                _ => self.step(id, at, inst, state),
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

    fn learning<R>(&mut self, (register, value): Learnt, told: impl FnOnce(&Self) -> R) -> R {
        // All but the register that was compared is shared by both ways.
        let before = std::mem::replace(&mut self.regs[usize::from(register)], value);
        let answer = told(self);
        self.regs[usize::from(register)] = before;
        answer
    }
}

/// What a program's return value says of its verdicts.
fn verdict(r0: Value) -> Mark {
    let Some((small, rest)) = r0.scalar() else { return Mark::RETURNS_ANY };
    let mut mark = Mark::empty();
    mark.set(Mark::RETURNS_PASS, small & (1 << 2) != 0);
    mark.set(Mark::RETURNS_TX, small & (1 << 3) != 0);
    mark.set(Mark::RETURNS_REDIRECT, small & (1 << 4) != 0);
    mark.set(Mark::RETURNS_ANY, rest == Rest::Any && !matches!(r0, Value::Const(_)));
    mark
}

/// A register's value; registers beyond r10 exist in hostile code only.
pub(super) fn reg(state: &State, register: u8) -> Value {
    state.regs.get(usize::from(register)).copied().unwrap_or(Value::Unset)
}

/// Sets a register other than r10.
pub(super) fn set(state: &mut State, register: u8, value: Value) {
    if register < 10 {
        state.regs[usize::from(register)] = value;
    }
}
