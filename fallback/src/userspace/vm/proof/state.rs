//! What is known at one point of a function, and what is known where paths meet.

use std::collections::BTreeMap;

use super::value::{Null, Range, Value};
use crate::userspace::vm::Frame;

/// Number of the base that is `data` itself.
pub(super) const DATA: u32 = 0;
/// Where callers meet, in place of an operation. Its bases have the numbers of the registers.
pub(super) const ENTRY: u32 = u32::MAX;
/// Numbers of bases that one operation can make: one for each register and slot where paths meet, and
/// one of its own.
const BASES: u32 = 128;
/// Registers.
pub(super) const REGISTERS: usize = 11;
/// Slots of 8 bytes on a function's stack.
pub(super) const SLOTS: usize = 64;
/// Distances beyond this are not followed.
const FARTHEST: i64 = 1 << 40;

/// A number that addresses in the frame have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// What it can be.
    pub(super) at: Range,
    /// `data` plus the number plus this is not behind `data_end`.
    pub(super) reach: i64,
}

impl Base {
    /// Nothing is known of where the frame ends.
    pub(super) const NOWHERE: i64 = i64::MIN;
}

/// What is known at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) registers: [Value; REGISTERS],
    /// The function's own stack, from its lowest slot; unknown where it is not 8 aligned bytes that
    /// were stored at once.
    pub(super) slots: Box<[Value; SLOTS]>,
    pub(super) bases: BTreeMap<u32, Base>,
}

impl State {
    /// A function is entered: all registers are 0, but for `r10`.
    pub(super) fn entry() -> Self {
        let mut registers = [Value::exactly(0); REGISTERS];
        registers[10] = Value::Stack { low: 0, high: 0 };
        let mut state =
            Self { registers, slots: Box::new([Value::UNKNOWN; SLOTS]), bases: BTreeMap::new() };
        state.forget_bases();
        state
    }

    /// What a function knows that is called here.
    pub(super) fn called(&self) -> Self {
        let mut entry = Self::entry();
        entry.bases.insert(DATA, self.base(DATA));
        for register in 1..6 {
            entry.registers[register] = match self.registers[register] {
                Value::Stack { .. } => Value::OuterStack,
                // Numbers of calls and bases are each function's own.
                Value::Map { null: Null::Maybe(_), .. } => Value::UNKNOWN,
                Value::Frame { base, off } if base != DATA => {
                    let same = |v: &Value| matches!(v, Value::Frame { base: b, .. } if *b == base);
                    // Arguments alone: others would share a number with them.
                    let first =
                        self.registers[1..6].iter().position(same).unwrap_or(register - 1) + 1;
                    entry.bases.insert(first as u32, self.base(base));
                    Value::Frame { base: first as u32, off }
                }
                other => other,
            };
        }
        entry
    }

    /// A function is entered by somebody who may pass anything.
    pub(super) fn called_by_anyone() -> Self {
        let mut entry = Self::entry();
        entry.registers[1..6].fill(Value::UNKNOWN);
        entry
    }

    fn forget_bases(&mut self) {
        self.bases.clear();
        self.bases.insert(DATA, Base { at: Range::exactly(0), reach: 0 });
    }

    /// The number of the base that an operation makes.
    pub(super) const fn base_of(op: u32) -> u32 {
        (op + 1) * BASES + BASES - 1
    }

    fn values(&mut self) -> impl Iterator<Item = &mut Value> {
        self.registers.iter_mut().chain(self.slots.iter_mut())
    }

    /// What is known of a base.
    pub(super) fn base(&self, base: u32) -> Base {
        let unknown = Base { at: Range::ALL, reach: Base::NOWHERE };
        self.bases.get(&base).copied().unwrap_or(unknown)
    }

    /// An address in the frame, if its distance can be followed.
    pub(super) fn frame(&self, base: u32, off: i64) -> Value {
        let near = off.unsigned_abs() < 1 << 20 && self.base(base).at.high < FARTHEST as u64;
        if near { Value::Frame { base, off } } else { Value::UNKNOWN }
    }

    /// A base for `at`, made by an operation; addresses that an earlier pass over it made are not
    /// followed any more.
    pub(super) fn new_base(&mut self, op: u32, at: Range) -> Value {
        let base = Self::base_of(op);
        for value in self.values() {
            if matches!(value, Value::Frame { base: old, .. } if *old == base) {
                *value = Value::UNKNOWN;
            }
        }
        self.bases.insert(base, Base { at, reach: Base::NOWHERE });
        self.frame(base, 0)
    }

    /// The number under which a call's result may be null; results of an earlier pass over it are no
    /// longer null together with it.
    pub(super) fn new_null(&mut self, op: u32) -> Null {
        let null = Null::Maybe(op);
        for value in self.values() {
            if matches!(value, Value::Map { null: old, .. } if *old == null) {
                *value = Value::UNKNOWN;
            }
        }
        null
    }

    /// The frame may have moved or changed its length.
    pub(super) fn forget_frame(&mut self) {
        for value in self.values() {
            if matches!(value, Value::Frame { .. } | Value::End) {
                *value = Value::UNKNOWN;
            }
        }
        self.forget_bases();
    }

    /// Anything may have been written to the stack.
    pub(super) fn forget_slots(&mut self) {
        self.slots.fill(Value::UNKNOWN);
    }

    /// Bytes of the stack, by their distance from `r10`, were written.
    pub(super) fn forget_stack(&mut self, low: i64, end: i64) {
        for (slot, value) in self.slots.iter_mut().enumerate() {
            let start = Self::start(slot);
            if start < end && low < start + 8 {
                *value = Value::UNKNOWN;
            }
        }
    }

    /// The distance of a slot from `r10`.
    const fn start(slot: usize) -> i64 {
        8 * (slot as i64 - SLOTS as i64)
    }

    /// The slot at a distance from `r10`.
    pub(super) fn slot(off: i64) -> Option<usize> {
        let slot = off / 8 + SLOTS as i64;
        (off % 8 == 0 && (0..SLOTS as i64).contains(&slot)).then_some(slot as usize)
    }

    /// `data` plus the base plus `off` is not behind `data_end`.
    pub(super) fn reaches(&mut self, base: u32, off: i64) {
        if let Some(known) = self.bases.get_mut(&base) {
            known.reach = known.reach.max(off);
            let highest = (Frame::LONGEST as i64).saturating_sub(off).max(0) as u64;
            known.at.high = known.at.high.min(highest).max(known.at.low);
        }
    }

    /// Whether values of this number are null is known now.
    pub(super) fn decide(&mut self, number: u32, is_null: bool) {
        for value in self.values() {
            if let Value::Map { map, at, null: Null::Maybe(other) } = *value
                && other == number
            {
                *value = if is_null {
                    Value::exactly(0)
                } else {
                    Value::Map { map, at, null: Null::No }
                };
            }
        }
    }

    /// What is known where another path comes in at an operation. Addresses that differ get a base of
    /// their own, the same for those that differ alike. Returns whether anything was lost.
    pub(super) fn meet(&mut self, other: &Self, op: u32, widen: bool) -> bool {
        let before = self.clone();
        let mut meeting = Meeting {
            op,
            widen,
            left: &before,
            right: other,
            made: Vec::new(),
            bases: BTreeMap::new(),
        };
        let pairs = before.registers.iter().zip(&other.registers);
        for (at, (a, b)) in pairs.enumerate() {
            self.registers[at] = meeting.value(at as u32, *a, *b);
        }
        let pairs = before.slots.iter().zip(other.slots.iter());
        for (at, (a, b)) in pairs.enumerate() {
            self.slots[at] = meeting.value((REGISTERS + at) as u32, *a, *b);
        }
        meeting
            .bases
            .entry(DATA)
            .or_insert_with(|| meet(before.base(DATA), other.base(DATA), false));
        self.bases = meeting.bases;
        *self != before
    }
}

/// What is known of a base that is one of two.
fn meet(a: Base, b: Base, widen: bool) -> Base {
    let at = if widen { a.at.widened(b.at) } else { a.at.union(b.at) };
    let reach = if widen && b.reach < a.reach { Base::NOWHERE } else { a.reach.min(b.reach) };
    Base { at, reach }
}

/// A base and a distance, as seen from an address.
fn moved(base: Base, off: i64) -> Option<Base> {
    let low = base.at.low.checked_add_signed(off)?;
    let high = base.at.high.checked_add_signed(off)?;
    let reach =
        if base.reach == Base::NOWHERE { base.reach } else { base.reach.checked_sub(off)? };
    Some(Base { at: Range { low, high }, reach })
}

struct Meeting<'a> {
    op: u32,
    widen: bool,
    left: &'a State,
    right: &'a State,
    /// Bases made here: those of both sides and the difference of the distances, the number, and the
    /// left distance of the address that is its own base.
    made: Vec<((u32, u32, i64), u32, i64)>,
    bases: BTreeMap<u32, Base>,
}

impl Meeting<'_> {
    fn value(&mut self, place: u32, a: Value, b: Value) -> Value {
        match (a, b) {
            (Value::Frame { base: ba, off: oa }, Value::Frame { base: bb, off: ob }) => {
                self.frame(place, (ba, oa), (bb, ob))
            }
            _ if a == b => a,
            (Value::Number(a), Value::Number(b)) => {
                Value::Number(if self.widen { a.widened(b) } else { a.union(b) })
            }
            (Value::Stack { low: la, high: ha }, Value::Stack { low: lb, high: hb }) => {
                if self.widen {
                    return Value::OuterStack;
                }
                Value::Stack { low: la.min(lb), high: ha.max(hb) }
            }
            (Value::Stack { .. } | Value::OuterStack, Value::Stack { .. } | Value::OuterStack) => {
                Value::OuterStack
            }
            (
                Value::Map { map: ma, at: aa, null: na },
                Value::Map { map: mb, at: ab, null: nb },
            ) if ma == mb && na == nb => {
                let at = if self.widen { aa.widened(ab) } else { aa.union(ab) };
                Value::Map { map: ma, at, null: na }
            }
            _ => Value::UNKNOWN,
        }
    }

    fn frame(&mut self, place: u32, (ba, oa): (u32, i64), (bb, ob): (u32, i64)) -> Value {
        // A base made at this very place in an earlier pass is another number now.
        let here = ba / BASES == self.op.wrapping_add(1) && ba % BASES != BASES - 1;
        let ours = here && ba != DATA;
        if ba == bb && oa == ob && !ours {
            let widen = self.widen;
            let met = || meet(self.left.base(ba), self.right.base(bb), widen);
            self.bases.entry(ba).or_insert_with(met);
            return Value::Frame { base: ba, off: oa };
        }
        let alike = (ba, bb, oa - ob);
        if let Some((_, base, first)) = self.made.iter().find(|(key, ..)| *key == alike) {
            return Value::Frame { base: *base, off: oa - first };
        }
        let (left, right) = (moved(self.left.base(ba), oa), moved(self.right.base(bb), ob));
        let (Some(left), Some(right)) = (left, right) else { return Value::UNKNOWN };
        let met = meet(left, right, self.widen);
        if met.at.high >= FARTHEST as u64 {
            return Value::UNKNOWN;
        }
        let base = self.op.wrapping_add(1) * BASES + place;
        self.made.push((alike, base, oa));
        self.bases.insert(base, met);
        Value::Frame { base, off: 0 }
    }
}
