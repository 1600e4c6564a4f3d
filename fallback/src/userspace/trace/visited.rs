//! Where a run went, in a few bytes for each instruction.

use std::collections::{HashMap, VecDeque};

use super::steps::{Branch, Call};
use crate::userspace::vm::code;
use crate::userspace::vm::observer::Place;

/// Instructions of which it is kept that they were executed: the last ones.
const KEPT: usize = 4 << 20;
/// One instruction that was executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Which call of its function.
    pub(super) activation: u32,
    /// Whether it jumped.
    pub(super) taken: bool,
}

/// What is known of the last time that an instruction was executed by one call of its function.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) times: u64,
    pub(super) what: Noted,
    /// For a load of what was stored by the same run: where, and from which register.
    pub(super) origin: Option<(usize, code::Register)>,
}

/// What an explanation may need of an instruction.
#[derive(Clone, Debug)]
pub(super) enum Noted {
    Branch(Branch),
    Call(Call),
    Read(String),
}

/// Where a run went.
#[derive(Debug, Default)]
pub(super) struct Visited {
    entries: VecDeque<Entry>,
    /// Entries that are no longer kept.
    dropped: usize,
    /// Of each call of a function: which entry called it, and its own last one.
    activations: Vec<(Option<usize>, usize)>,
    notes: HashMap<(u32, u32, u32), Note>,
}

impl Visited {
    /// Entries so far; the first ones may no longer be kept.
    pub(super) fn len(&self) -> usize {
        self.dropped + self.entries.len()
    }

    pub(super) fn executed(&self) -> u64 {
        self.len() as u64
    }

    pub(super) fn get(&self, index: usize) -> Option<Entry> {
        self.entries.get(index.checked_sub(self.dropped)?).copied()
    }

    /// The entry that called the function, or handed over to it by a tail call.
    pub(super) fn called_at(&self, activation: u32) -> Option<usize> {
        self.activations.get(activation as usize)?.0
    }

    /// The last instruction of the function that was called at an entry, or of what that handed over
    /// to.
    pub(super) fn last_of_call(&self, at: usize) -> Option<usize> {
        let called = |from| self.activations.iter().find(|(called, _)| *called == Some(from));
        let mut last = called(at)?.1;
        while let Some((_, later)) = called(last) {
            last = *later;
        }
        Some(last)
    }

    pub(super) fn note(&self, entry: Entry) -> Option<&Note> {
        self.notes.get(&key(entry))
    }

    /// For a load: where what it read was stored, and from which register.
    pub(super) fn spilled(&self, index: usize) -> Option<(usize, code::Register)> {
        self.note(self.get(index)?)?.origin
    }

    /// A function is called, from the last entry on. Returns the number of the call.
    pub(super) fn begin(&mut self) -> u32 {
        let number = u32::try_from(self.activations.len()).unwrap_or(u32::MAX);
        self.activations.push((self.len().checked_sub(1), 0));
        number
    }

    /// One more instruction is executed. Returns its index.
    pub(super) fn push(&mut self, entry: Entry) -> usize {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
        let index = self.len() - 1;
        if let Some((_, last)) = self.activations.get_mut(entry.activation as usize) {
            *last = index;
        }
        index
    }

    /// Notes what an instruction does.
    pub(super) fn noted(
        &mut self,
        entry: Entry,
        what: Noted,
        origin: Option<(usize, code::Register)>,
    ) {
        let note = self.notes.entry(key(entry));
        let note = note.or_insert_with(|| Note { times: 0, what: what.clone(), origin });
        note.times += 1;
        note.what = what;
        note.origin = origin;
    }

    /// Notes whether a branch jumped.
    pub(super) fn settle(&mut self, index: usize, taken: bool) {
        let at = index.checked_sub(self.dropped);
        let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) else { return };
        entry.taken = taken;
        if let Some(Note { what: Noted::Branch(branch), .. }) = self.notes.get_mut(&key(*entry)) {
            branch.taken = taken;
        }
    }

    /// Notes what a call returned.
    pub(super) fn returned(&mut self, entry: Entry, returned: &str) {
        if let Some(Note { what: Noted::Call(call), .. }) = self.notes.get_mut(&key(entry)) {
            call.returned = Some(returned.to_owned());
        }
    }
}

const fn key(entry: Entry) -> (u32, u32, u32) {
    (entry.place.function.0, entry.place.op, entry.activation)
}
