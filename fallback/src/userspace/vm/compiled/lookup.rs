//! Lookups in maps that are known when the program is compiled.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use hoist_bpf::module::MapId;

use super::super::address::map_value;
use super::super::proof::Proof;
use super::function::Translator;
use super::routines;

/// Number of `bpf_map_lookup_elem`.
pub(super) const LOOKUP: u32 = 1;
/// Registers of its arguments.
const MAP: u8 = 1;
const KEY: u8 = 2;

impl Translator<'_, '_> {
    /// Looks up in a map that is known: in place if it is an array, else by a routine of its own.
    /// False if nothing is known.
    pub(super) fn lookup(&mut self) -> bool {
        let Some(map) = self.map_in(MAP) else { return false };
        let Some(values) = self.unit.region(map).copied() else { return false };
        let found = if values.array && !self.unit.paranoid {
            self.key_of_array().map(|index| {
                let entries = self.constant(I64, i64::from(values.entries));
                let inside = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, entries);
                let stride = self.constant(I64, values.stride.cast_signed());
                let distance = self.builder.ins().imul(index, stride);
                let first = map_value(map, 0).cast_signed();
                let address = self.builder.ins().iadd_imm_s(distance, first);
                let null = self.constant(I64, 0);
                self.builder.ins().select(inside, address, null)
            })
        } else {
            None
        };
        let found = match found {
            Some(found) => found,
            None => self.lookup_by_routine(map, values.key_bytes),
        };
        self.found.insert(found, map);
        self.set(0, found);
        true
    }

    /// The key of an array, if it is evident where it is.
    fn key_of_array(&mut self) -> Option<Value> {
        let host = match self.evident(KEY, 0, 4, false) {
            (Proof::Stack(_), None) => self.on_stack(KEY, 0),
            (Proof::Value(map), None) => self.in_value(map, KEY, 0)?,
            _ => return None,
        };
        let key = self.builder.ins().load(I32, host.flags(), host.address, 0);
        Some(self.builder.ins().uextend(I64, key))
    }

    /// Such a lookup spends no fuel.
    fn lookup_by_routine(&mut self, map: MapId, key_bytes: u32) -> Value {
        let (site, key) = (self.site(), self.register(KEY));
        let number = self.constant(I64, i64::from(map.0));
        let evident = self.evident(KEY, 0, key_bytes.into(), false);
        let found = if let (Proof::Stack(_), None) = evident {
            let host = self.on_stack(KEY, 0).address;
            let len = self.constant(I64, key_bytes.into());
            let routine = routines::lookup_key as *const () as usize;
            self.routine(routine, &[self.run, site, number, host, len, key], 1)
        } else {
            let routine = routines::lookup as *const () as usize;
            self.routine(routine, &[self.run, site, number, key], 1)
        };
        self.unwind_if_raised();
        found
    }
}
