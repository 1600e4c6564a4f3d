//! The stack, the length, and how far into the frame the program looks.

use std::collections::BTreeMap;

use hoist_bpf::analysis::{Value, Values};
use hoist_bpf::module::{FunctionId, Target};
use hoist_bpf::opcode::{access_bytes, class};

use super::Rule;
use super::survey::{Spot, Survey};

impl Survey<'_> {
    /// The stack of the deepest chain of calls, as the driver adds it up; and the program's length,
    /// of which the least is known: each instruction becomes one of the card at least.
    pub(super) fn stack(&mut self, values: &Values) {
        let Some(&main) = values.functions.first() else { return };
        if let Some(rounded) = self.profile.frame_bytes {
            let bytes = self.depth(values, main, rounded, &mut BTreeMap::new());
            if let Some((has, source)) = self.demand("stack_bytes", bytes) {
                let message = format!(
                    "the program takes {bytes} bytes of stack, frames rounded up to {rounded}; the firmware has {has} ({source})"
                );
                self.broken_by_program(Rule::Stack, message);
            }
        }
        let reached = |spot: &Spot<'_>| values.given(spot.function, spot.position).is_some();
        let least = self.spots(values).filter(reached).count() as u64;
        if let Some((has, source)) = self.demand("max_instructions", least) {
            let message = format!(
                "the program has {least} instructions, each of which becomes one or more of the card's; the firmware takes {has} ({source})"
            );
            self.broken_by_program(Rule::Length, message);
        }
    }

    fn depth(
        &self,
        values: &Values,
        id: FunctionId,
        rounded: u32,
        known: &mut BTreeMap<FunctionId, u64>,
    ) -> u64 {
        if let Some(&depth) = known.get(&id) {
            return depth;
        }
        // Recursion is refused by the verifier; here it must only end.
        known.insert(id, 0);
        let function = self.module.function(id);
        let (returns, registers) = self.profile.call_bytes;
        let mut own = values.stack_bytes(id);
        // The verifier rounds each access up to whole slots of eight bytes for what it spills; the
        // depth itself is in bytes.
        if values.functions.first() != Some(&id) {
            let saves = |code: &hoist_bpf::module::Inst| (6..=9).contains(&code.insn.dst());
            own += returns;
            if function.code.iter().any(saves) {
                own += registers;
            }
        }
        let below = function
            .code
            .iter()
            .filter_map(|inst| match inst.target {
                Target::Call(callee) => Some(self.depth(values, callee, rounded, known)),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        let depth = u64::from(own.next_multiple_of(rounded.max(1))) + below;
        known.insert(id, depth);
        depth
    }

    /// How far behind the frame's start the program reads or writes.
    pub(super) fn packet(&mut self, values: &Values) {
        let mut farthest: Option<(i64, Spot<'_>)> = None;
        for spot in self.spots(values) {
            let insn = spot.insn();
            let Some(given) = values.given(spot.function, spot.position) else { continue };
            let base = match insn.class() {
                class::LDX => given.src,
                class::ST | class::STX => given.dst,
                _ => continue,
            };
            let Value::Packet(at) = base else { continue };
            let last = at.high + i64::from(insn.off) + i64::from(access_bytes(insn.code)) - 1;
            if farthest.is_none_or(|(most, _)| last > most) {
                farthest = Some((last, spot));
            }
        }
        let Some((last, spot)) = farthest else { return };
        let insn = spot.insn();
        // `MAX_PACKET_OFF`: farther is never allowed, so that more is only not known.
        let known = last < 0xffff;
        let needs = if known { last.max(0) as u64 } else { 0xffff };
        if let Some((has, source)) = self.demand("packet_split_bytes", needs) {
            let message = match known {
                true => format!(
                    "{insn}: reaches byte {needs} of the frame; the firmware shows the first {has} ({source}), unless the MTU is smaller"
                ),
                false => format!(
                    "{insn}: it cannot be shown how far into the frame; a comparison of the offset with a constant would. The firmware shows the first {has} bytes ({source})"
                ),
            };
            self.broken(Rule::PacketSplit, spot, message);
        }
    }
}
