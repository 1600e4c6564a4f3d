//! Registers and the stacks of all live frames at one point of a program.

use super::value::{Range, Span, Value};

/// Bytes of stack one frame may have (`MAX_BPF_STACK`).
const FRAME_BYTES: i64 = 512;

/// One frame of the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frame {
    /// Eight aligned bytes each, from the top down; beyond the end nothing was written.
    slots: Vec<Value>,
    /// Bytes known to be zero because zeroes were stored there, from the top down.
    zero: Bytes,
    /// Those of them that the verifier marks as zero since Linux 6.8: not where the store began at
    /// a multiple of eight, which counts as a spilled register there
    /// (`check_stack_write_fixed_off`).
    marked: Bytes,
}

/// A bit for each byte of a frame.
type Bytes = [u64; 8];

/// The state before an instruction. The last frame is the running function's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Value; 11],
    /// Registers of the same number other than 0 hold the same value: copies of each other.
    links: [u32; 11],
    frames: Vec<Frame>,
}

impl State {
    /// At the entry of a program.
    pub(super) fn entry() -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1] = Value::Context;
        regs[10] = Value::Stack { frame: 0, at: Span::exactly(0) };
        Self { regs, links: [0; 11], frames: vec![Frame::default()] }
    }

    /// At the entry of a function called from here.
    pub(super) fn callee(&self, args: [Value; 5]) -> Self {
        let mut regs = [Value::Unset; 11];
        regs[1..6].copy_from_slice(&args);
        let mut frames = self.frames.clone();
        regs[10] = Value::Stack { frame: frames.len() as u8, at: Span::exactly(0) };
        frames.push(Frame::default());
        Self { regs, links: [0; 11], frames }
    }

    /// Takes the stacks over as a callee left them.
    pub(super) fn take_frames(&mut self, callee: Self) {
        self.frames = callee.frames;
        self.frames.pop();
    }

    /// Memory it takes, about, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.frames.iter().map(|f| f.slots.len()).sum();
        size_of::<Self>() + slots * size_of::<Value>() + 64 * (self.frames.len() + 1)
    }

    /// A register's value; registers beyond r10 exist in hostile code only.
    pub(super) fn reg(&self, register: u8) -> Value {
        self.regs.get(usize::from(register)).copied().unwrap_or(Value::Unset)
    }

    /// Sets a register other than r10.
    pub(super) fn set(&mut self, register: u8, value: Value) {
        if register < 10 {
            self.regs[usize::from(register)] = value;
            self.links[usize::from(register)] = 0;
        }
    }

    /// Makes a register a copy of another, by an instruction with a number of its own.
    pub(super) fn copy(&mut self, to: u8, from: u8, instruction: u32) {
        let value = self.reg(from);
        self.set(to, value);
        if to >= 10 || from >= 10 || !matches!(value, Value::Number(_)) || to == from {
            return;
        }
        let (to, from) = (usize::from(to), usize::from(from));
        if self.links[from] == 0 {
            // An earlier round of a loop may have used the number for other copies.
            for link in self.links.iter_mut().filter(|link| **link == instruction) {
                *link = 0;
            }
            self.links[from] = instruction;
        }
        self.links[to] = self.links[from];
    }

    /// What a comparison told of a register holds for its copies too.
    pub(super) fn learn(&mut self, register: u8, value: Value) {
        let Some(&link) = self.links.get(usize::from(register)).filter(|_| register < 10) else {
            return;
        };
        self.regs[usize::from(register)] = value;
        if link != 0 {
            for (reg, _) in self.regs.iter_mut().zip(self.links).filter(|(_, l)| *l == link) {
                *reg = value;
            }
        }
    }

    /// Reads `bytes` from a frame.
    pub(super) fn load(&self, frame: u8, at: Span, bytes: u8) -> Value {
        let any = Value::Number(Range::bits(u32::from(bytes) * 8));
        let Some(frame) = self.frames.get(usize::from(frame)) else { return any };
        let Some(offset) = at.constant().filter(|o| (-FRAME_BYTES..0).contains(o)) else {
            return any;
        };
        let slot = frame.slots.get(index(offset)).copied().unwrap_or(Value::Unset);
        match slot {
            slot if bytes == 8 && offset % 8 == 0 && slot != Value::Unset => slot,
            // The objects are little-endian: the lower bytes come first.
            Value::Number(range)
                if offset % 8 == 0 && range.high <= Range::bits(u32::from(bytes) * 8).high =>
            {
                slot
            }
            _ if (offset..offset + i64::from(bytes)).all(|at| has(&frame.zero, at)) => {
                Value::exactly(0)
            }
            _ => any,
        }
    }

    /// Writes `bytes` to a frame.
    pub(super) fn store(&mut self, frame: u8, at: Span, bytes: u8, value: Value) {
        let Some(frame) = self.frames.get_mut(usize::from(frame)) else { return };
        match at.constant() {
            Some(offset) if (-FRAME_BYTES..0).contains(&offset) => {
                let slot = index(offset);
                if frame.slots.len() <= slot {
                    frame.slots.resize(slot + 1, Value::Unset);
                }
                frame.slots[slot] = match value {
                    value if bytes == 8 && offset % 8 == 0 => value,
                    _ => Value::ANY,
                };
                // Across two slots: unaligned.
                let last = index(offset + i64::from(bytes) - 1);
                if let Some(upper) = frame.slots.get_mut(last).filter(|_| last != slot) {
                    *upper = Value::ANY;
                }
                let zero = value == Value::exactly(0);
                mark(&mut frame.zero, offset, bytes, zero);
                mark(&mut frame.marked, offset, bytes, zero && offset % 8 != 0);
            }
            Some(_) => {}
            None => frame.forget(at.low, at.high + i64::from(bytes)),
        }
    }

    /// Something may have been written from an offset of a frame upwards, or anywhere.
    pub(super) fn clobber(&mut self, value: Value) {
        match value {
            Value::Stack { frame, at } => {
                if let Some(frame) = self.frames.get_mut(usize::from(frame)) {
                    frame.forget(at.low, 0);
                }
            }
            _ => self.frames.iter_mut().for_each(|f| f.forget(-FRAME_BYTES, 0)),
        }
    }

    /// Which of so many bytes from a pointer to the stack on are known to be zero, and which the
    /// verifier marks so.
    pub(super) fn zero_bytes(&self, pointer: Value, bytes: u32) -> Vec<(bool, bool)> {
        let place = match pointer {
            Value::Stack { frame, at } => at.constant().zip(self.frames.get(usize::from(frame))),
            _ => None,
        };
        let bytes = i64::from(bytes.min(FRAME_BYTES as u32));
        match place {
            Some((offset, frame)) => (offset..offset + bytes)
                .map(|at| (has(&frame.zero, at), has(&frame.marked, at)))
                .collect(),
            None => vec![(false, false); bytes as usize],
        }
    }

    /// Joins another state into this one; whether anything changed.
    pub(super) fn merge(&mut self, other: &Self, widen: bool) -> bool {
        let mut changed = false;
        let mut join = |mine: &mut Value, theirs: Value| {
            let joined = mine.join(theirs, widen);
            changed |= joined != *mine;
            *mine = joined;
        };
        for (mine, theirs) in self.regs.iter_mut().zip(other.regs) {
            join(mine, theirs);
        }
        for (mine, theirs) in self.frames.iter_mut().zip(&other.frames) {
            if mine.slots.len() < theirs.slots.len() {
                mine.slots.resize(theirs.slots.len(), Value::Unset);
            }
            let theirs = theirs.slots.iter().copied().chain(std::iter::repeat(Value::Unset));
            for (m, t) in mine.slots.iter_mut().zip(theirs) {
                // What was never written holds anything; privileged programs may read it.
                match (*m, t) {
                    (Value::Unset, Value::Number(_)) => join(m, Value::ANY),
                    (Value::Number(_), Value::Unset) => join(m, Value::ANY),
                    (_, t) => join(m, t),
                }
            }
        }
        for (mine, theirs) in self.frames.iter_mut().zip(&other.frames) {
            let pairs = mine.zero.iter_mut().zip(theirs.zero);
            for (mine, theirs) in pairs.chain(mine.marked.iter_mut().zip(theirs.marked)) {
                changed |= *mine & theirs != *mine;
                *mine &= theirs;
            }
        }
        for (mine, theirs) in self.links.iter_mut().zip(other.links) {
            if *mine != theirs && *mine != 0 {
                *mine = 0;
                changed = true;
            }
        }
        changed
    }
}

impl Frame {
    /// Numbers between two offsets may have changed. Pointers are kept: where a number overwrote
    /// them the verifier refuses what is done with pointers.
    fn forget(&mut self, low: i64, high: i64) {
        let (low, high) = (low.max(-FRAME_BYTES), high.min(0));
        if low >= high {
            return;
        }
        for slot in index(high - 1)..=index(low) {
            if let Some(slot) = self.slots.get_mut(slot)
                && matches!(slot, Value::Number(_) | Value::Unset)
            {
                *slot = Value::ANY;
            }
        }
        for bytes in [&mut self.zero, &mut self.marked] {
            (low..high).for_each(|at| mark(bytes, at, 1, false));
        }
    }
}

fn has(bytes: &Bytes, offset: i64) -> bool {
    byte(offset).is_some_and(|byte| bytes[byte / 64] >> (byte % 64) & 1 == 1)
}

fn mark(set: &mut Bytes, offset: i64, bytes: u8, on: bool) {
    for byte in (offset..offset + i64::from(bytes)).filter_map(byte) {
        let bit = 1 << (byte % 64);
        if on {
            set[byte / 64] |= bit;
        } else {
            set[byte / 64] &= !bit;
        }
    }
}

/// The slot that holds the byte at an offset within a frame.
const fn index(offset: i64) -> usize {
    (-offset - 1) as usize / 8
}

/// The number of the byte at an offset, from the top down.
fn byte(offset: i64) -> Option<usize> {
    (-FRAME_BYTES..0).contains(&offset).then(|| (-offset - 1) as usize)
}
