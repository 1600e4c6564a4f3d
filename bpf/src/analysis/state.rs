//! Registers and the stacks of all live frames at one point of a program.

use super::value::{NO_OFFSET, Value};

/// Bytes of stack one frame may have (`MAX_BPF_STACK`).
pub(super) const FRAME_BYTES: i32 = 512;

/// The state before an instruction. The last frame is the running function's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Value; 11],
    /// Slots of eight bytes, from the top of each frame down; slots beyond the end are unset.
    pub(super) frames: Vec<Vec<Value>>,
}

/// The slot that holds the byte at `offset` (negative), if it is within a frame.
fn slot(offset: i32) -> Option<usize> {
    (-FRAME_BYTES..0).contains(&offset).then_some((-offset - 1) as usize / 8)
}

impl State {
    /// At the entry of a program.
    pub(super) fn entry() -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1] = Value::Ctx;
        regs[10] = Value::Stack { frame: 0, offset: 0 };
        Self { regs, frames: vec![Vec::new()] }
    }

    /// At the entry of a function called from here with the given arguments.
    pub(super) fn callee(&self, args: [Value; 5]) -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1..6].copy_from_slice(&args);
        let mut frames = self.frames.clone();
        regs[10] = Value::Stack { frame: frames.len() as u8, offset: 0 };
        frames.push(Vec::new());
        Self { regs, frames }
    }

    /// Memory it takes, about, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.frames.iter().map(Vec::len).sum();
        size_of::<Self>() + slots * size_of::<Value>() + 64
    }

    /// Reads `bytes` at an offset of a frame.
    pub(super) fn load(&self, frame: u8, offset: i32, bytes: u8) -> Value {
        let Some(slots) = self.frames.get(usize::from(frame)) else { return Value::ANY };
        let Some(index) = slot(offset) else { return Value::ANY };
        let value = slots.get(index).copied().unwrap_or(Value::ANY);
        match value {
            Value::Unset => Value::ANY,
            v if bytes == 8 && offset % 8 == 0 => v,
            // A narrow read of a wide constant, little-endian as the objects are.
            Value::Const(c) => {
                let shift = offset.rem_euclid(8) * 8;
                let mask = u64::MAX >> (64 - 8 * u32::from(bytes));
                Value::Const((c >> shift) & mask)
            }
            _ => Value::ANY,
        }
    }

    /// Writes `bytes` at an offset of a frame; at an unknown offset, anywhere in it.
    pub(super) fn store(&mut self, frame: u8, offset: i32, bytes: u8, value: Value) {
        let Some(slots) = self.frames.get_mut(usize::from(frame)) else { return };
        if offset == NO_OFFSET {
            for s in slots.iter_mut() {
                *s = s.join(value).join(Value::ANY);
            }
            return;
        }
        let Some(index) = slot(offset) else { return };
        if slots.len() <= index {
            slots.resize(index + 1, Value::Unset);
        }
        slots[index] = if bytes == 8 && offset % 8 == 0 { value } else { Value::ANY };
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
            for (m, t) in mine.iter_mut().zip(theirs) {
                join(m, *t);
            }
        }
        changed
    }
}
