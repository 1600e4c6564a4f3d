//! Calls: of subprograms, of helpers, and of what helpers call back.

use std::collections::BTreeSet;

use super::interp::{Exhausted, Interp, MAX_FRAMES};
use super::state::State;
use super::value::{LAST_MAP, Rest, UNKNOWN, Value, bits, kind};
use crate::module::{FunctionId, Inst, Target};
use crate::opcode::pseudo;

impl Interp<'_> {
    /// Follows a call; `false` when it never returns.
    pub(super) fn call(
        &mut self,
        id: FunctionId,
        at: usize,
        inst: &Inst,
        state: &mut State,
    ) -> Result<bool, Exhausted> {
        let args: [Value; 5] = std::array::from_fn(|i| state.regs[i + 1]);
        for arg in args {
            if let Value::Stack { frame, offset } = arg {
                self.touch_stack(frame, offset);
            }
        }
        let result = match (inst.insn.src(), inst.target) {
            (_, Target::Call(callee)) => match self.subprogram(callee, args, state)? {
                Some(value) => value,
                None => return Ok(false),
            },
            (_, Target::Extern(callee)) => {
                self.note_call(id, at, state)?;
                clobber(state, args);
                let name = self.module.externs.get(callee.0 as usize).map(|e| e.name.as_str());
                for arg in args {
                    self.callback(arg, [Value::ANY; 5], state)?;
                }
                // A slice of the packet, or a copy of it in a buffer that was handed in.
                if name == Some("bpf_dynptr_slice_rdwr") { Value::Packet } else { Value::ANY }
            }
            (pseudo::HELPER_CALL, _) => {
                self.note_call(id, at, state)?;
                self.helper(inst.insn.imm, args, state)?
            }
            _ => Value::ANY,
        };
        state.regs[0] = result;
        state.regs[1..6].fill(Value::Unset);
        Ok(true)
    }

    /// Follows a call of a subprogram: its result, or `None` when it never returns.
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
            for arg in args.iter_mut().filter(|a| a.scalar().is_some()) {
                *arg = Value::ANY;
            }
        }
        let alone = args.iter().all(|a| a.kinds() & kind::STACK == 0);
        if alone && let Some(&known) = self.results.get(&(id.0, args)) {
            return Ok(known);
        }
        let exit = self.run(id, state.callee(args))?;
        let result = exit.as_ref().map(|s| match s.regs[0].scalar() {
            Some((small, rest)) if global => Value::Scalar { small, rest: rest.max(Rest::Opaque) },
            _ => s.regs[0],
        });
        if alone {
            self.results.insert((id.0, args), result);
        } else if let Some(mut exit) = exit {
            exit.frames.pop();
            state.take_frames(exit);
            if global {
                // What it wrote to memory it was handed, the verifier does not look at.
                clobber(state, args);
            }
        }
        Ok(result)
    }

    /// Follows a function that a helper calls any number of times.
    fn callback(
        &mut self,
        function: Value,
        args: [Value; 5],
        state: &mut State,
    ) -> Result<(), Exhausted> {
        let candidates = match function {
            Value::Func(id) => vec![FunctionId(id)],
            v if v.kinds() & kind::FUNC != 0 => self.addressed(),
            _ => return Ok(()),
        };
        for id in candidates {
            let mut round = 0_u32;
            loop {
                let mut after = state.clone();
                self.subprogram(id, args, &mut after)?;
                if !state.merge(&after, round > 0) {
                    break;
                }
                round += 1;
            }
        }
        Ok(())
    }

    /// Every function whose address is taken somewhere.
    fn addressed(&self) -> Vec<FunctionId> {
        let code = self.module.functions.iter().flat_map(|f| &f.code);
        let taken: BTreeSet<FunctionId> = code
            .filter_map(|i| match i.target {
                Target::FunctionAddress(f) => Some(f),
                _ => None,
            })
            .collect();
        taken.into_iter().collect()
    }

    /// Follows a helper call; its result.
    fn helper(&mut self, id: i32, args: [Value; 5], state: &mut State) -> Result<Value, Exhausted> {
        if !helper::READ_ONLY.contains(&id) {
            clobber(state, args);
        }
        let any = Value::ANY;
        let value = match args[0] {
            Value::Map(map) => Value::MapValue { map, offset: 0 },
            _ => Value::MapValue { map: UNKNOWN, offset: 0 },
        };
        Ok(match id {
            helper::MAP_LOOKUP_ELEM | helper::MAP_LOOKUP_PERCPU_ELEM => self.lookup(args[0]),
            helper::REDIRECT => Value::Scalar { small: 0b1_0001, rest: Rest::Opaque },
            helper::REDIRECT_MAP => match args[2] {
                Value::Const(flags) => {
                    Value::Scalar { small: 1 << 4 | 1 << (flags & 3), rest: Rest::Opaque }
                }
                _ => Value::Scalar { small: 1 << 4, rest: Rest::Any },
            },
            helper::LOOP => {
                self.callback(args[1], [any, args[2], any, any, any], state)?;
                any
            }
            helper::FOR_EACH_MAP_ELEM => {
                let key = Value::MapValue { map: UNKNOWN, offset: UNKNOWN };
                self.callback(args[1], [args[0], key, value, args[2], any], state)?;
                any
            }
            helper::TIMER_SET_CALLBACK => {
                if let Value::Func(f) = args[1]
                    && let Some(marks) = self.marks.get_mut(f as usize)
                {
                    marks.asynchronous = true;
                }
                self.callback(args[1], [Value::Map(UNKNOWN), any, value, any, any], state)?;
                any
            }
            _ => {
                // Whatever else takes a function (bpf_user_ringbuf_drain, bpf_find_vma) hands the
                // caller's argument over as the second.
                for arg in args {
                    self.callback(arg, [any, args[2], any, any, any], state)?;
                }
                any
            }
        })
    }

    fn lookup(&self, map: Value) -> Value {
        let id = match map {
            Value::Map(id) => id,
            // Of several, what any of them hands out.
            Value::Maps(set) => {
                let each = bits(set).map(|map| match map as u32 {
                    LAST_MAP => Value::MapValue { map: UNKNOWN, offset: 0 },
                    map => self.lookup(Value::Map(map)),
                });
                return each.fold(Value::Unset, Value::join);
            }
            _ => return Value::MapValue { map: UNKNOWN, offset: 0 },
        };
        match self.module.maps.get(id as usize).map(|m| m.kind) {
            // Maps of maps hand out maps; these hand out sockets.
            Some(12 | 13) => Value::Map(UNKNOWN),
            Some(15 | 17 | 18) => Value::ANY,
            _ => Value::MapValue { map: id, offset: 0 },
        }
    }
}

/// Numbers of the helpers that are treated specially.
mod helper {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const REDIRECT: i32 = 23;
    pub(super) const REDIRECT_MAP: i32 = 51;
    pub(super) const FOR_EACH_MAP_ELEM: i32 = 164;
    pub(super) const TIMER_SET_CALLBACK: i32 = 170;
    pub(super) const LOOP: i32 = 181;
    pub(super) const MAP_LOOKUP_PERCPU_ELEM: i32 = 195;
    /// Those that read what they are pointed to and write nothing: map operations, output to rings,
    /// checksums, socket lookups, packet stores.
    pub(super) const READ_ONLY: [i32; 14] =
        [1, 2, 3, 25, 28, 51, 84, 85, 86, 87, 99, 130, 190, 195];
}

/// What is called may write through the pointers it is given.
fn clobber(state: &mut State, args: [Value; 5]) {
    for arg in args {
        match arg {
            Value::Stack { frame, offset } => state.clobber(frame, offset),
            arg if arg.kinds() & kind::STACK != 0 => state.clobber_anywhere(),
            _ => {}
        }
    }
}
