//! Loads, stores and atomics on abstract values.

use super::interp::{Interp, reg, set};
use super::marks::Mark;
use super::state::State;
use super::value::{NO_OFFSET, UNKNOWN, Value, kind};
use crate::module::{
    DataSection, ExternKind, FunctionId, Inst, Map, MapId, Module, Resolution, Target,
};
use crate::opcode::{access_bytes, atomic, class, mode};

/// What a wide load puts into its register.
pub(super) fn wide(module: &Module, inst: &Inst) -> Value {
    match inst.target {
        Target::Map(map) => Value::Map(map.0),
        Target::MapValue { map, offset } => Value::MapValue { map: map.0, offset },
        Target::FunctionAddress(f) => Value::Func(f.0),
        Target::None => {
            let high = inst.wide_imm.unwrap_or(0) as u32;
            Value::Const(u64::from(high) << 32 | u64::from(inst.insn.imm as u32))
        }
        Target::Extern(id) => {
            module.externs.get(id.0 as usize).map_or(Value::ANY, |e| match (e.resolution, e.kind) {
                (Resolution::Absent, _) => Value::Const(0),
                (Resolution::Address(address), _) => Value::Const(address),
                (Resolution::Value, ExternKind::Kconfig { offset, .. }) => {
                    kconfig(module).map_or(Value::ANY, |map| Value::MapValue { map: map.0, offset })
                }
                _ => Value::ANY,
            })
        }
        _ => Value::ANY,
    }
}

/// The map that holds Kconfig values.
pub(super) fn kconfig(module: &Module) -> Option<MapId> {
    let is = |m: &Map| m.section == Some(DataSection::Kconfig);
    module.maps.iter().position(is).map(|i| MapId(i as u32))
}

impl Interp<'_> {
    pub(super) fn load(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        let base = reg(state, insn.src());
        let bytes = access_bytes(insn.code);
        self.note_base(id, at, base);
        if base.kinds() & kind::CTX != 0 {
            self.note(id, at, Mark::field(insn.off));
        }
        let extends = insn.code & 0xe0 == mode::MEMSX;
        let value = match base {
            Value::Ctx => match insn.off {
                0 => Value::Packet,
                4 => Value::PacketEnd,
                8 => Value::Meta,
                _ => Value::ANY,
            },
            Value::Stack { frame, offset } => {
                let offset = shifted(offset, insn.off);
                self.touch_stack(frame, offset);
                state.load(frame, offset, bytes)
            }
            _ if base.kinds() & kind::STACK != 0 && bytes == 8 => state.load_anywhere(),
            Value::MapValue { map, offset } if offset != UNKNOWN => offset
                .checked_add_signed(i32::from(insn.off))
                .and_then(|offset| self.frozen(map, offset, bytes))
                .map_or(Value::ANY, Value::Const),
            _ => Value::ANY,
        };
        set(state, insn.dst(), if extends { Value::ANY } else { value });
    }

    /// Bytes that no one can change once the program is loaded.
    fn frozen(&self, map: u32, offset: u32, bytes: u8) -> Option<u64> {
        let map = self.module.maps.get(map as usize)?;
        if !matches!(map.section?, DataSection::Rodata | DataSection::Kconfig) {
            return None;
        }
        let data = map.data.get(offset as usize..)?.get(..usize::from(bytes))?;
        let mut word = [0; 8];
        // The objects are of the host's byte order, which is little-endian where hoist runs.
        word[..data.len()].copy_from_slice(data);
        Some(u64::from_le_bytes(word))
    }

    pub(super) fn store(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        let base = reg(state, insn.dst());
        let value = if insn.class() == class::ST {
            Value::Const(insn.imm as i64 as u64)
        } else {
            reg(state, insn.src())
        };
        self.note_base(id, at, base);
        let kinds = base.kinds();
        if kinds & kind::PACKET != 0 {
            self.note(id, at, Mark::PACKET_WRITE);
        }
        if kinds & kind::MAP_VALUE != 0 {
            self.note(id, at, Mark::MAP_VALUE_WRITE);
        }
        if let Value::Stack { frame, offset } = base {
            let offset = shifted(offset, insn.off);
            self.touch_stack(frame, offset);
            state.store(frame, offset, access_bytes(insn.code), value);
        } else if kinds & kind::STACK != 0 {
            state.store_anywhere(access_bytes(insn.code), value);
        }
    }

    pub(super) fn atomic(&mut self, id: FunctionId, at: usize, inst: &Inst, state: &mut State) {
        let insn = inst.insn;
        match insn.imm {
            // These move pointers between registers and the stack like their plain counterparts.
            atomic::LOAD_ACQUIRE => return self.load(id, at, inst, state),
            atomic::STORE_RELEASE => return self.store(id, at, inst, state),
            _ => {}
        }
        let base = reg(state, insn.dst());
        self.note_base(id, at, base);
        let bytes = access_bytes(insn.code);
        let mut before = Value::ANY;
        if let Value::Stack { frame, offset } = base {
            let offset = shifted(offset, insn.off);
            self.touch_stack(frame, offset);
            before = state.load(frame, offset, bytes);
            state.store(frame, offset, bytes, Value::ANY);
        } else if base.kinds() & kind::STACK != 0 {
            if bytes == 8 {
                before = state.load_anywhere();
            }
            state.store_anywhere(bytes, Value::ANY);
        }
        // The verifier fills a pointer here as from a load; a number may have changed meanwhile.
        let before = if before.scalar().is_some() { Value::ANY } else { before };
        if insn.imm == atomic::CMPXCHG {
            state.regs[0] = before;
        } else if insn.imm & atomic::FETCH != 0 {
            set(state, insn.src(), before);
        }
    }
}

/// A stack offset moved by an instruction's.
fn shifted(offset: i32, by: i16) -> i32 {
    if offset == NO_OFFSET { offset } else { offset.saturating_add(i32::from(by)) }
}
