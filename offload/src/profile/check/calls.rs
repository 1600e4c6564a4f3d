//! Calls of helpers: is the helper there, and are its arguments where the card wants them.

use hoist_bpf::analysis::{Kinds, Value, Values};
use hoist_bpf::module::{MapId, Target};
use hoist_bpf::names;

use super::Rule;
use super::survey::{Spot, Survey};

/// `BPF_FUNC_*` of the map operations and of the output of events.
const LOOKUP: u32 = 1;
const UPDATE: u32 = 2;
const DELETE: u32 = 3;
const EVENT_OUTPUT: u32 = 25;
/// `BPF_F_CURRENT_CPU`, `BPF_F_INDEX_MASK`.
const CURRENT_CPU: u64 = 0xffff_ffff;

impl Survey<'_> {
    pub(super) fn calls(&mut self, values: &Values) {
        for spot in self.spots(values) {
            let insn = spot.insn();
            if !insn.is_call() || insn.src() != 0 || spot.inst.target != Target::None {
                continue;
            }
            let given = values.given(spot.function, spot.position);
            let Some(args) = given.and_then(|given| given.args) else { continue };
            let number = insn.imm as u32;
            if self.helper(spot, number) {
                self.arguments(spot, number, args);
            }
        }
    }

    /// Whether the card has the helper, so that its arguments matter.
    fn helper(&mut self, spot: Spot<'_>, number: u32) -> bool {
        let Some(helpers) = &self.profile.helpers else { return false };
        let name = format!("{} (helper {number})", names::helper(number));
        match helpers.get(&number) {
            None => {
                self.broken(Rule::Helper, spot, format!("calls {name}"));
                false
            }
            Some(None) => true,
            Some(Some(parameter)) => {
                if let Some((_, source)) = self.demand(parameter, 1) {
                    let message = format!("calls {name}, which this firmware lacks ({source})");
                    self.broken(Rule::Firmware, spot, message);
                }
                true
            }
        }
    }

    fn arguments(&mut self, spot: Spot<'_>, number: u32, args: [Value; 5]) {
        let name = names::helper(number);
        match number {
            LOOKUP | DELETE => self.on_stack(spot, &name, "the key", args[1]),
            UPDATE => {
                self.on_stack(spot, &name, "the key", args[1]);
                self.on_stack(spot, &name, "the value", args[2]);
            }
            EVENT_OUTPUT => {
                let flags = args[2].range().constant();
                if flags.map(|flags| flags & CURRENT_CPU) != Some(CURRENT_CPU) {
                    let what = match flags {
                        Some(flags) => format!("the flags are {flags:#x}"),
                        None => {
                            "it cannot be shown what the flags are; a constant would".to_owned()
                        }
                    };
                    self.broken(Rule::EventFlags, spot, format!("{name}: {what}"));
                }
                let taken = Kinds::SCALAR | Kinds::STACK | Kinds::MAP_VALUE | Kinds::PACKET;
                let kinds = args[3].kinds();
                if kinds.contains(Kinds::STACK) {
                    self.on_stack(spot, &name, "the data", args[3]);
                } else if !taken.contains(kinds) {
                    let message = format!("{name}: the data is {}", super::memory::kinds(kinds));
                    self.broken(Rule::HelperArgument, spot, message);
                }
            }
            _ => {}
        }
    }

    /// An argument must point to the stack, at an offset that is known and a multiple of four.
    fn on_stack(&mut self, spot: Spot<'_>, name: &str, what: &str, value: Value) {
        let why = match value {
            Value::Stack { at, .. } => match at.constant() {
                Some(offset) if offset % 4 == 0 => return,
                Some(offset) => format!("{what} is at offset {offset} of the stack"),
                None => format!(
                    "it cannot be shown where on the stack {what} is; a variable of its own would"
                ),
            },
            other => format!("{what} is {}", super::memory::kinds(other.kinds())),
        };
        self.broken(Rule::HelperArgument, spot, format!("{name}: {why}"));
    }

    /// The map that a call is about, where it is one that the module names.
    pub(super) fn map_of(args: [Value; 5]) -> Option<MapId> {
        match args[0] {
            Value::Map(map) => map,
            _ => None,
        }
    }
}
