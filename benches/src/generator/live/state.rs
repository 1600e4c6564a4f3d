//! The memory that the program in `benches/programs/live.bpf.c` counts in.

use crate::generator::schedule::{Grace, Schedule};

/// Processors that there is room for.
pub(super) const CORES: usize = 64;
/// `struct run`, rounded up to where `struct core` is aligned.
const RUN: usize = 128;
/// `struct core`.
const CORE: usize = 128;

/// Bytes of the `.bss` section.
pub(super) const BYTES: usize = RUN + CORES * CORE;

/// Offsets within `struct run`.
mod run {
    #[cfg(test)]
    pub(super) const START: usize = 0;
    pub(super) const STEP: usize = 8;
    pub(super) const DURATION: usize = 16;
    pub(super) const LIMIT: usize = 24;
    pub(super) const CORES: usize = 32;
    pub(super) const GRACE: usize = 40;
    pub(super) const RECENT: usize = 48;
}

/// Offsets within `struct core`.
mod core {
    pub(super) const GENERATED: usize = 0;
    pub(super) const BYTES: usize = 8;
    pub(super) const FIRST: usize = 16;
    pub(super) const LAST: usize = 24;
    pub(super) const DUE: usize = 32;
    pub(super) const NOT_LEAST_LATE: usize = 48;
    pub(super) const MOST_LATE: usize = 56;
    pub(super) const ENDED: usize = 80;
    pub(super) const NUMBER: usize = 84;
    #[cfg(test)]
    pub(super) const KEPT_UP: usize = 88;
}

/// `enum ended`.
const STOPPED: u32 = 3;

/// What one processor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Which.
    pub cpu: u32,
    /// Frames that it sent.
    pub generated: u64,
    /// Their bytes, without FCS. Not counted where all frames are the same and not rewritten.
    pub bytes: u64,
    /// When the first frame was due, in nanoseconds of `CLOCK_MONOTONIC`; 0 when there was none.
    pub first: u64,
    /// When it ended.
    pub last: u64,
    /// The least and the greatest lateness in nanoseconds.
    pub late: (u64, u64),
    ended: u32,
}

impl Core {
    /// Whether it sends no more.
    pub(super) const fn ended(&self) -> bool {
        self.ended != 0
    }

    /// Frames that its schedule called for until it ended.
    pub(super) fn intended(&self, schedule: &Schedule, limit: u64) -> u64 {
        let until = match self.ended {
            STOPPED => self.last.saturating_sub(self.first),
            0 if self.first == 0 => 0,
            _ => u64::MAX,
        };
        // It was told to stop while the next frame was due already.
        schedule.intended(until).max(self.generated).min(limit)
    }
}

/// The section.
#[derive(Clone, Debug)]
pub(super) struct State {
    bytes: Vec<u8>,
}

impl State {
    /// Where a run begins.
    pub(super) fn new(
        cpus: &[u32],
        schedules: Option<&[Schedule]>,
        duration: u64,
        limit: u64,
    ) -> Self {
        let mut state = Self { bytes: vec![0; BYTES] };
        state.put64(run::DURATION, duration);
        state.put64(run::LIMIT, limit);
        state.put32(run::CORES, u32::try_from(cpus.len()).unwrap_or(0));
        let grace = Grace::of(duration);
        state.put64(run::GRACE, grace.nanoseconds);
        state.put64(run::RECENT, grace.kept_up);
        if let Some(first) = schedules.and_then(<[_]>::first) {
            state.put64(run::STEP, first.step);
        }
        for (number, cpu) in cpus.iter().enumerate() {
            let at = core_at(*cpu);
            state.put32(at + core::NUMBER, u32::try_from(number).unwrap_or(0));
            if let Some(schedule) = schedules.and_then(|all| all.get(number)) {
                state.put64(at + core::DUE, schedule.phase);
            }
        }
        state
    }

    /// As if a processor were in the middle of it.
    #[cfg(test)]
    pub(super) fn begun(&mut self, cpu: u32, start: u64, kept_up: u64) {
        self.put64(run::START, start);
        self.put64(core_at(cpu) + core::FIRST, start);
        self.put64(core_at(cpu) + core::KEPT_UP, kept_up);
    }

    /// What the kernel holds; `None` when it is not as long as it must be.
    pub(super) fn read(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == BYTES).then_some(Self { bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn cores(&self, cpus: &[u32]) -> Vec<Core> {
        cpus.iter().map(|cpu| self.core(*cpu)).collect()
    }

    fn core(&self, cpu: u32) -> Core {
        let at = core_at(cpu);
        Core {
            cpu,
            generated: self.get64(at + core::GENERATED),
            bytes: self.get64(at + core::BYTES),
            first: self.get64(at + core::FIRST),
            last: self.get64(at + core::LAST),
            late: (!self.get64(at + core::NOT_LEAST_LATE), self.get64(at + core::MOST_LATE)),
            ended: self.get64(at + core::ENDED) as u32,
        }
    }

    fn get64(&self, at: usize) -> u64 {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
    }

    fn put64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

const fn core_at(cpu: u32) -> usize {
    RUN + cpu as usize % CORES * CORE
}
