//! Registers and the stacks of all live frames at one point of a program.

use super::value::{NO_OFFSET, Rest, Value, kind};

/// Bytes of stack one frame may have (`MAX_BPF_STACK`).
pub(super) const FRAME_BYTES: i32 = 512;

/// The state before an instruction. The last frame is the running function's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Value; 11],
    /// Slots of four bytes, from the top of each frame down; slots beyond the end are unset. A
    /// pointer takes two: itself in the lower, [`Value::Upper`] in the upper.
    pub(super) frames: Vec<Vec<Value>>,
    /// Kinds of pointers that were stored somewhere on the stack, it is not known where.
    loose: u16,
}

/// The slot that holds the byte at `offset` (negative), if it is within a frame.
fn slot(offset: i32) -> Option<usize> {
    (-FRAME_BYTES..0).contains(&offset).then(|| (-offset - 1) as usize / 4)
}

impl State {
    /// At the entry of a program.
    pub(super) fn entry() -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1] = Value::Ctx;
        regs[10] = Value::Stack { frame: 0, offset: 0 };
        Self { regs, frames: vec![Vec::new()], loose: 0 }
    }

    /// At the entry of a function called from here with the given arguments.
    pub(super) fn callee(&self, args: [Value; 5]) -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1..6].copy_from_slice(&args);
        let mut frames = self.frames.clone();
        regs[10] = Value::Stack { frame: frames.len() as u8, offset: 0 };
        frames.push(Vec::new());
        Self { regs, frames, loose: self.loose }
    }

    /// Takes the stacks over as a callee left them.
    pub(super) fn take_frames(&mut self, callee: Self) {
        (self.frames, self.loose) = (callee.frames, callee.loose);
    }

    /// Memory it takes, about, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.frames.iter().map(Vec::len).sum();
        size_of::<Self>() + slots * size_of::<Value>() + 64
    }

    fn slot(&self, frame: u8, offset: i32) -> Value {
        self.frames
            .get(usize::from(frame))
            .zip(slot(offset))
            .and_then(|(slots, index)| slots.get(index).copied())
            .unwrap_or(Value::ANY)
    }

    /// Reads `bytes` at an offset of a frame. The objects are little-endian.
    pub(super) fn load(&self, frame: u8, offset: i32, bytes: u8) -> Value {
        if bytes == 8 {
            // The verifier fills no pointer from anywhere else.
            if offset != NO_OFFSET && offset % 8 != 0 {
                return Value::ANY;
            }
            let placed = if offset == NO_OFFSET {
                self.any_of(self.frames.get(usize::from(frame)).into_iter())
            } else {
                self.filled(frame, offset)
            };
            return if self.loose == 0 {
                placed
            } else {
                placed.join(Value::number_or(self.loose))
            };
        }
        match self.slot(frame, offset) {
            Value::Const(c) => {
                let shift = offset.rem_euclid(4) * 8;
                let mask = u64::MAX >> (64 - 8 * u32::from(bytes));
                Value::Const((c >> shift) & mask)
            }
            // Constants below 64 lie in the first byte.
            low @ Value::Scalar { rest, .. }
                if offset % 4 == 0 && (bytes == 4 || rest < Rest::Any) =>
            {
                low
            }
            _ => Value::ANY,
        }
    }

    /// Reads eight bytes at a pointer to the stack of which the frame is not known.
    pub(super) fn load_anywhere(&self) -> Value {
        let placed = self.any_of(self.frames.iter());
        if self.loose == 0 { placed } else { placed.join(Value::number_or(self.loose)) }
    }

    fn filled(&self, frame: u8, offset: i32) -> Value {
        match (self.slot(frame, offset), self.slot(frame, offset + 4)) {
            (Value::Const(l), Value::Const(h)) => Value::Const(h << 32 | l),
            (scalar, Value::Const(0)) if scalar.scalar().is_some() => scalar,
            (pointer, Value::Upper) if pointer.scalar().is_none() => pointer,
            // On some way only, or half of it.
            (other, _) => Value::number_or(other.kinds()),
        }
    }

    /// What lies in one of the slots of some frames.
    fn any_of<'a>(&self, frames: impl Iterator<Item = &'a Vec<Value>>) -> Value {
        Value::number_or(frames.flatten().fold(0, |kinds, slot| kinds | slot.kinds()))
    }

    /// Writes `bytes` at an offset of a frame; at an unknown offset, anywhere in it.
    pub(super) fn store(&mut self, frame: u8, offset: i32, bytes: u8, value: Value) {
        let Some(slots) = self.frames.get_mut(usize::from(frame)) else { return };
        if offset == NO_OFFSET {
            self.loose |= spill(slots, value, bytes);
            return;
        }
        let Some(index) = slot(offset) else { return };
        if slots.len() <= index {
            slots.resize(index + 1, Value::Unset);
        }
        let scalar = value.scalar();
        let low = value.map_scalar(|v| Some(v & 0xffff_ffff));
        match (bytes, scalar) {
            (8, _) if offset % 8 != 0 => {
                slots[index] = Value::ANY;
                if let Some(upper) = index.checked_sub(1) {
                    slots[upper] = Value::ANY;
                }
            }
            (8, Some((_, rest))) => {
                slots[index] = low;
                slots[index - 1] = match value {
                    Value::Const(c) => Value::Const(c >> 32),
                    _ if rest < Rest::Any => Value::Const(0),
                    _ => Value::ANY,
                };
            }
            (8, None) => {
                slots[index] = value;
                slots[index - 1] = Value::Upper;
            }
            (4, Some((small, Rest::Any))) if !matches!(value, Value::Const(_)) => {
                slots[index] = Value::Scalar { small, rest: Rest::Any };
            }
            (4, Some(_)) => slots[index] = low,
            _ => slots[index] = Value::ANY,
        }
    }

    /// Writes through a pointer to the stack of which the frame is not known.
    pub(super) fn store_anywhere(&mut self, bytes: u8, value: Value) {
        for slots in &mut self.frames {
            self.loose |= spill(slots, value, bytes);
        }
    }

    /// Forgets constants on all frames: a helper may have written there.
    pub(super) fn clobber_anywhere(&mut self) {
        for frame in 0..self.frames.len() {
            self.clobber(frame as u8, NO_OFFSET);
        }
    }

    /// Forgets constants from an offset of a frame upwards: a helper may have written there.
    pub(super) fn clobber(&mut self, frame: u8, offset: i32) {
        let Some(slots) = self.frames.get_mut(usize::from(frame)) else { return };
        let last =
            if offset == NO_OFFSET { slots.len() } else { slot(offset).map_or(0, |s| s + 1) };
        for s in slots.iter_mut().take(last) {
            if s.scalar().is_some() || *s == Value::Unset {
                *s = Value::ANY;
            }
        }
    }

    /// Joins another state into this one; whether anything changed. With `widen`, what changes goes
    /// straight to the top, so that loops end.
    pub(super) fn merge(&mut self, other: &Self, widen: bool) -> bool {
        let mut changed = false;
        let mut join = |mine: &mut Value, theirs: Value| {
            let joined = mine.join(theirs);
            if joined != *mine {
                *mine = if widen { joined.widened() } else { joined };
                changed = true;
            }
        };
        for (mine, theirs) in self.regs.iter_mut().zip(other.regs) {
            join(mine, theirs);
        }
        for (mine, theirs) in self.frames.iter_mut().zip(&other.frames) {
            if mine.len() < theirs.len() {
                mine.resize(theirs.len(), Value::Unset);
            }
            let theirs = theirs.iter().copied().chain(std::iter::repeat(Value::Unset));
            for (m, t) in mine.iter_mut().zip(theirs) {
                // What was never written holds anything; privileged programs may read it.
                match (*m, t) {
                    (Value::Unset, t) if t.scalar().is_some() => join(m, Value::ANY),
                    (mine, Value::Unset) if mine.scalar().is_some() => join(m, Value::ANY),
                    (_, t) => join(m, t),
                }
            }
        }
        changed |= self.loose | other.loose != self.loose;
        self.loose |= other.loose;
        changed
    }
}

/// Stores to one of these slots, it is not known which; the kinds of pointers that may now lie in
/// slots that nothing was stored to before. Pointers that lie there are kept: where a number
/// overwrote them the verifier refuses what is done with pointers.
fn spill(slots: &mut [Value], value: Value, bytes: u8) -> u16 {
    let pointers = if bytes == 8 { value.kinds() & !kind::SCALAR } else { 0 };
    for s in slots {
        if pointers != 0 {
            *s = s.join(value).join(Value::ANY);
        } else if s.scalar().is_some() || *s == Value::Unset {
            *s = Value::ANY;
        }
    }
    pointers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(offset: i32, stored: u8, value: Value, at: i32, loaded: u8) -> Value {
        let mut state = State::entry();
        state.store(0, offset, stored, value);
        state.load(0, at, loaded)
    }

    #[test]
    fn what_was_spilled_is_there_when_it_is_filled() {
        let set = Value::Scalar { small: 0b110, rest: Rest::Closed };
        let open = Value::Scalar { small: 0b110, rest: Rest::Any };
        for (offset, stored, value, at, loaded, expected) in [
            (-8, 8, Value::Ctx, -8, 8, Value::Ctx),
            (-8, 8, Value::Ctx, -8, 4, Value::ANY),
            (-8, 8, Value::Ctx, -16, 8, Value::ANY),
            (-8, 8, Value::Const(0x1_2345_6789), -8, 8, Value::Const(0x1_2345_6789)),
            (-8, 8, Value::Const(0x1_2345_6789), -4, 4, Value::Const(1)),
            (-8, 8, Value::Const(0x1_2345_6789), -7, 1, Value::Const(0x67)),
            (-4, 4, set, -4, 4, set),
            (-4, 4, open, -4, 4, open),
            (-4, 4, open, -4, 1, Value::ANY),
            (-8, 8, set, -8, 8, set),
            (-8, 8, set, -8, 1, set),
            (-4, 2, Value::Const(3), -4, 4, Value::ANY),
            (-12, 8, Value::Ctx, -12, 8, Value::ANY),
            (-600, 8, Value::Ctx, -600, 8, Value::ANY),
        ] {
            let found = kept(offset, stored, value, at, loaded);
            assert_eq!(found, expected, "{value:?} {offset} {at} {loaded}");
        }
    }

    #[test]
    fn half_a_pointer_may_be_none() {
        let mut state = State::entry();
        state.store(0, -8, 8, Value::Packet);
        state.store(0, -4, 4, Value::Const(0));
        assert_eq!(state.load(0, -8, 8), Value::Mixed(kind::PACKET | kind::SCALAR));
        state.store(0, -16, 8, Value::Packet);
        state.store(0, -16, 4, Value::Const(0));
        assert_eq!(state.load(0, -16, 8), Value::ANY);
    }

    #[test]
    fn a_pointer_stored_nobody_knows_where_may_be_anywhere() {
        let maybe = Value::Mixed(kind::CTX | kind::SCALAR);
        for known_frame in [true, false] {
            let mut state = State::entry();
            state.store(0, -8, 8, Value::Const(1));
            match known_frame {
                true => state.store(0, NO_OFFSET, 8, Value::Ctx),
                false => state.store_anywhere(8, Value::Ctx),
            }
            for offset in [-8, -16, NO_OFFSET] {
                assert_eq!(state.load(0, offset, 8), maybe, "{offset}");
            }
            assert_eq!(state.load_anywhere(), maybe);
            assert_eq!(state.load(0, -8, 4), Value::ANY);
            let mut other = State::entry();
            assert!(other.merge(&state, false) && !other.merge(&state, false));
            assert_eq!(other.load(0, -32, 8), maybe);
        }
    }

    #[test]
    fn a_number_stored_nobody_knows_where_leaves_pointers() {
        let mut state = State::entry();
        state.store(0, -8, 8, Value::Ctx);
        state.store(0, -16, 8, Value::Const(1));
        state.store(0, NO_OFFSET, 8, Value::Const(7));
        assert_eq!(state.load(0, -8, 8), Value::Ctx);
        assert_eq!(state.load(0, -16, 8), Value::ANY);
        assert_eq!(state.load(0, NO_OFFSET, 8), Value::Mixed(kind::CTX | kind::SCALAR));
    }

    #[test]
    fn what_only_one_way_wrote_is_not_known() {
        let (mut written, empty) = (State::entry(), State::entry());
        written.store(0, -8, 8, Value::Const(1));
        written.store(0, -16, 8, Value::Ctx);
        let mut other = empty.clone();
        other.merge(&written, false);
        written.merge(&empty, false);
        for state in [written, other] {
            assert_eq!(state.load(0, -8, 8), Value::ANY);
            assert_eq!(state.load(0, -16, 8), Value::Ctx);
        }
    }

    #[test]
    fn helpers_may_change_scalars_above_the_pointer_they_get() {
        let mut state = State::entry();
        state.store(0, -8, 8, Value::Ctx);
        state.store(0, -16, 8, Value::Const(1));
        state.store(0, -24, 8, Value::Const(2));
        state.clobber(0, -16);
        assert_eq!(state.load(0, -8, 8), Value::Ctx);
        assert_eq!(state.load(0, -16, 8), Value::ANY);
        assert_eq!(state.load(0, -24, 8), Value::Const(2));
    }
}
