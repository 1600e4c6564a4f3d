//! What is known of values while a function is translated, without any analysis ahead: constants,
//! and sums of a value and a constant.
//!
//! Blocks are sealed as soon as all that jump to them are translated, so that a register that has one
//! definition leads to its definition here, however many copies and blocks lie between.

use cranelift_codegen::ir::{InstructionData, Opcode, Value, ValueDef};
use hoist_bpf::module::MapId;

use super::super::address::{CONTEXT, STACK_TOP, handled_map, valued_map};
use super::super::code::Register;
use super::super::proof::Proof;
use super::function::{Role, Translator};

/// Longest chain of sums that is followed.
const CHAIN: usize = 16;

impl Translator<'_, '_> {
    /// A value as a sum: what it starts from, if that is not a constant, and a constant.
    pub(super) fn sum(&self, value: Value) -> (Option<Value>, u64) {
        let dfg = &self.builder.func.dfg;
        let (mut value, mut distance) = (dfg.resolve_aliases(value), 0_u64);
        for _ in 0..CHAIN {
            let ValueDef::Result(inst, 0) = dfg.value_def(value) else { break };
            match dfg.insts[inst] {
                InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                    return (None, distance.wrapping_add(imm.bits().cast_unsigned()));
                }
                InstructionData::Binary { opcode: Opcode::Iadd, args: [left, right] } => {
                    let (left, right) = (dfg.resolve_aliases(left), dfg.resolve_aliases(right));
                    if let Some(number) = self.number(right) {
                        (value, distance) = (left, distance.wrapping_add(number));
                    } else if let Some(number) = self.number(left) {
                        (value, distance) = (right, distance.wrapping_add(number));
                    } else {
                        break;
                    }
                }
                _ => break,
            }
        }
        (Some(value), distance)
    }

    /// A value that is a constant as it stands.
    fn number(&self, value: Value) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        let ValueDef::Result(inst, 0) = dfg.value_def(value) else { return None };
        match dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Some(imm.bits().cast_unsigned())
            }
            _ => None,
        }
    }

    /// The map whose handle a register holds, if it always does.
    pub(super) fn map_in(&mut self, register: Register) -> Option<MapId> {
        if let (Proof::Call(map), 1) = (self.proof(), register) {
            return Some(map);
        }
        let value = self.register(register);
        let (None, handle) = self.sum(value) else { return None };
        handled_map(handle)
    }

    /// What is evident of an access: where it goes, and for a value that a lookup found, what the
    /// lookup returned, which may be null.
    pub(super) fn evident(
        &mut self,
        base: Register,
        off: i16,
        bytes: u64,
        write: bool,
    ) -> (Proof, Option<Value>) {
        let unknown = (Proof::Unknown, None);
        let value = self.register(base);
        let (root, distance) = self.sum(value);
        let at = distance.wrapping_add_signed(i64::from(off));
        let Some(root) = root else { return (self.constant_address(at, bytes, write), None) };
        let (stack, top) = self.sum(self.frame_pointer);
        if stack == Some(root) {
            return (self.own_stack(at.wrapping_sub(top).cast_signed(), bytes), None);
        }
        let Some(&map) = self.found.get(&root) else { return unknown };
        let Some(values) = self.unit.region(map) else { return unknown };
        if values.holds(at, bytes, write) { (Proof::Value(map), Some(root)) } else { unknown }
    }

    /// If an access goes through an argument of this subprogram: which, its value, and the distance.
    pub(super) fn argument(&mut self, base: Register, off: i16) -> Option<(usize, Value, u64)> {
        let value = self.register(base);
        let (Some(root), distance) = self.sum(value) else { return None };
        let ValueDef::Param(block, number) = self.builder.func.dfg.value_def(root) else {
            return None;
        };
        // The first one is the run, which no register holds.
        let is_argument = block == self.entry && self.role == Role::Subprogram;
        is_argument.then(|| (number, root, distance.wrapping_add_signed(i64::from(off))))
    }

    fn constant_address(&self, address: u64, bytes: u64, write: bool) -> Proof {
        let field = address.wrapping_sub(CONTEXT);
        if !write && bytes == 4 && field < 24 && field.is_multiple_of(4) {
            return Proof::Context(field as u16);
        }
        // Only the program itself has a frame pointer that is a constant.
        if let Proof::Stack(at) =
            self.own_stack(address.wrapping_sub(STACK_TOP).cast_signed(), bytes)
        {
            return Proof::Stack(at);
        }
        let Some((map, offset)) = valued_map(address) else { return Proof::Unknown };
        let Some(values) = self.unit.region(map) else { return Proof::Unknown };
        let stride = values.stride.max(1);
        let inside = values.permanent && offset / stride < u64::from(values.entries);
        if inside && values.holds(offset % stride, bytes, write) {
            Proof::Value(map)
        } else {
            Proof::Unknown
        }
    }

    /// An access at a distance from the function's own `r10`, within what was cleared on entry.
    fn own_stack(&self, at: i64, bytes: u64) -> Proof {
        let inside = at >= -i64::from(self.function.stack)
            && at.checked_add_unsigned(bytes).is_some_and(|end| end <= 0);
        if inside { Proof::Stack(at as i16) } else { Proof::Unknown }
    }
}
