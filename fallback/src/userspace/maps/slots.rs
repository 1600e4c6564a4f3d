//! Places of a table's entries in its value memory, and which of them are in use.

use std::collections::VecDeque;

const FREE: u8 = 0;
const LIVE: u8 = 1;
/// Deleted during this run: programs may still hold its address.
const DYING: u8 = 2;

/// Places to spare, so that what is deleted in a run need not be used again in it. When a run deletes
/// more, the oldest go first, as the kernel's preallocated entries do at once.
const SPARE: u32 = 1024;

/// Numbered places.
#[derive(Debug)]
pub(super) struct Slots {
    states: Vec<u8>,
    free: Vec<u32>,
    dying: VecDeque<u32>,
    capacity: u32,
}

impl Slots {
    /// Places for `entries` entries and some more.
    pub(super) const fn new(entries: u32) -> Self {
        Self {
            states: Vec::new(),
            free: Vec::new(),
            dying: VecDeque::new(),
            capacity: entries.saturating_add(SPARE),
        }
    }

    /// Most places there can be.
    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// A place for a new entry; `None` when all are in use.
    pub(super) fn take(&mut self) -> Option<u32> {
        let slot = self.free.pop().or_else(|| self.another())?;
        self.states[slot as usize] = LIVE;
        Some(slot)
    }

    fn another(&mut self) -> Option<u32> {
        let fresh = self.states.len() as u32;
        if fresh < self.capacity {
            self.states.push(FREE);
            return Some(fresh);
        }
        self.dying.pop_front()
    }

    /// The entry there is deleted.
    pub(super) fn retire(&mut self, slot: u32) {
        self.states[slot as usize] = DYING;
        self.dying.push_back(slot);
    }

    /// Whether anything was deleted since the last [`Slots::settle`].
    pub(super) fn is_dirty(&self) -> bool {
        !self.dying.is_empty()
    }

    /// No program holds addresses any more.
    pub(super) fn settle(&mut self) {
        for slot in self.dying.drain(..) {
            self.states[slot as usize] = FREE;
            self.free.push(slot);
        }
    }

    /// Whether programs may look at what is there.
    #[inline]
    pub(super) fn is_readable(&self, slot: u64) -> bool {
        usize::try_from(slot)
            .ok()
            .and_then(|slot| self.states.get(slot))
            .is_some_and(|state| *state != FREE)
    }

    /// The first entry at or after a place.
    pub(super) fn next_live(&self, from: u32) -> Option<u32> {
        let tail = self.states.get(from as usize..)?;
        tail.iter().position(|state| *state == LIVE).map(|at| from + at as u32)
    }
}
