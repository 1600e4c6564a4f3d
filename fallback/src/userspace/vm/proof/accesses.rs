//! Loads and stores: what is proven of them, and what they leave.

use hoist_bpf::module::{DataSection, Module};

use super::Proof;
use super::state::State;
use super::value::{Null, Range, Value};
use crate::userspace::vm::code::Size;

/// `BPF_F_RDONLY_PROG`: programs may only read the map.
const READ_ONLY: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`: programs may only write it.
const WRITE_ONLY: u32 = 1 << 8;

/// One access.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) base: Value,
    pub(super) off: i64,
    pub(super) size: Size,
    pub(super) write: bool,
}

impl Access {
    /// What is known of it. `cleared` is how much of the function's stack is cleared on entry: below,
    /// the check has something to do.
    pub(super) fn proof(&self, module: &Module, state: &State, cleared: u16) -> Proof {
        let size = self.size.bytes() as i64;
        match self.base {
            Value::Frame { base, off } => {
                let (base, off) = (state.base(base), off + self.off);
                let low = base.at.low.min(i64::MAX as u64) as i64;
                let reached = off.checked_add(size).is_some_and(|end| end <= base.reach);
                if low + off >= 0 && reached { Proof::Frame } else { Proof::MaybeFrame }
            }
            Value::Context(off) => {
                let field = off + self.off;
                let known = self.size == Size::W && field % 4 == 0 && (0..24).contains(&field);
                if known && !self.write { Proof::Context(field as u16) } else { Proof::Unknown }
            }
            Value::Stack { low, high } => {
                let (low, high) = (low + self.off, high + self.off);
                let within = low >= -i64::from(cleared) && high + size <= 0;
                match within {
                    true if low == high => Proof::Stack(low as i16),
                    true => Proof::AnyStack,
                    false => Proof::MaybeStack,
                }
            }
            Value::OuterStack => Proof::MaybeStack,
            Value::Map { map, at, null: Null::No } => {
                let Some(known) = module.maps.get(map.0 as usize) else { return Proof::Unknown };
                let frozen =
                    matches!(known.section, Some(DataSection::Rodata | DataSection::Kconfig));
                let refused = if self.write { READ_ONLY } else { WRITE_ONLY };
                let allowed = known.flags & refused == 0 && !(self.write && frozen);
                let low = at.low as i64 + self.off;
                let end = at.high as i64 + self.off + size;
                if allowed && low >= 0 && end <= i64::from(known.value_size) {
                    Proof::Value(map)
                } else {
                    Proof::MaybeValue(map)
                }
            }
            _ => Proof::Unknown,
        }
    }

    /// What a load yields.
    pub(super) fn loaded(&self, state: &State, signed: bool) -> Value {
        let bits = self.size.bytes() as u32 * 8;
        match self.base {
            Value::Context(off) if self.size == Size::W && !signed => match off + self.off {
                0 => state.frame(super::state::DATA, 0),
                4 => Value::End,
                _ => Value::Number(Range::WORD),
            },
            Value::Stack { low, high } if low == high && self.size == Size::D => {
                State::slot(low + self.off).map_or(Value::UNKNOWN, |slot| state.slots[slot])
            }
            _ if signed || self.size == Size::D => Value::UNKNOWN,
            _ => Value::Number(Range::bits(bits)),
        }
    }

    /// What a store leaves. `value` is what all 8 bytes of a slot are then; `None`: anything.
    pub(super) fn stored(&self, state: &mut State, value: Option<Value>) {
        let size = self.size.bytes() as i64;
        match self.base {
            Value::Stack { low, high } => {
                state.forget_stack(low + self.off, high + self.off + size);
                if low == high
                    && self.size == Size::D
                    && let (Some(slot), Some(value)) = (State::slot(low + self.off), value)
                {
                    state.slots[slot] = value;
                }
            }
            base if base.may_be_stack() => state.forget_slots(),
            _ => {}
        }
    }
}
