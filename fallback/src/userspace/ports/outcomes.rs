//! What became of frames, counted.

use std::collections::BTreeMap;

use super::Action;

/// One thing that can become of a frame at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Handed to the program.
    Received,
    /// Dropped at the program's word.
    Dropped,
    /// Given to the host.
    Passed,
    /// Sent back out of the port.
    Transmitted,
    /// Sent out of another interface; each copy counts.
    Redirected,
    /// Lost before the program: the ring was full, as the kernel counts it.
    Overrun,
    /// The capture holds only its beginning; handed to the program so, unless told otherwise.
    CutShort,
    /// Handed to the program in one piece although native XDP has no room for it in a page: it would
    /// refuse the MTU, or show the frame in fragments.
    OverPage,
    /// Not handed to the program, because the port cannot show it as XDP would: longer than a buffer,
    /// in several pieces.
    Unfit,
    /// The host did not take it although the program passed it.
    PassFailed,
    /// The interface did not take it: full, down, or the frame is longer than its MTU.
    SendFailed,
    /// Redirected to an interface that this port cannot reach.
    NoSuchTarget,
}

impl Outcome {
    /// Every outcome, in the order in which they are printed.
    pub const ALL: [Self; 12] = [
        Self::Received,
        Self::Dropped,
        Self::Passed,
        Self::Transmitted,
        Self::Redirected,
        Self::Overrun,
        Self::CutShort,
        Self::OverPage,
        Self::Unfit,
        Self::PassFailed,
        Self::SendFailed,
        Self::NoSuchTarget,
    ];

    /// Its name among an attachment's events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Dropped => "dropped",
            Self::Passed => "passed",
            Self::Transmitted => "transmitted",
            Self::Redirected => "redirected",
            Self::Overrun => "overrun",
            Self::CutShort => "cut-short",
            Self::OverPage => "over-page",
            Self::Unfit => "unfit",
            Self::PassFailed => "pass-failed",
            Self::SendFailed => "send-failed",
            Self::NoSuchTarget => "no-such-target",
        }
    }
}

/// How often each [`Outcome`] came about since the port was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    counts: [u64; Outcome::ALL.len()],
}

impl Outcomes {
    /// How often one came about.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    /// Counts one.
    pub const fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts several.
    pub const fn add(&mut self, outcome: Outcome, frames: u64) {
        let count = &mut self.counts[outcome as usize];
        *count = count.saturating_add(frames);
    }

    /// Counts what an action brings about where it cannot fail.
    pub fn count_action(&mut self, action: &Action) {
        match action {
            Action::Drop => self.count(Outcome::Dropped),
            Action::Pass => self.count(Outcome::Passed),
            Action::Transmit => self.count(Outcome::Transmitted),
            Action::Redirect(_) => self.count(Outcome::Redirected),
            Action::Broadcast(targets) => self.add(Outcome::Redirected, targets.len() as u64),
            Action::Copies(copies) => self.add(Outcome::Redirected, copies.len() as u64),
        }
    }

    /// Sets a count that someone else keeps, such as the kernel's of overruns.
    pub const fn set(&mut self, outcome: Outcome, frames: u64) {
        self.counts[outcome as usize] = frames;
    }

    /// The sum with another port's.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.saturating_add(theirs);
        }
        self
    }

    /// What went wrong, by name, without what did not happen.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        Outcome::ALL
            .into_iter()
            .filter(|outcome| *outcome >= Outcome::Overrun && self.of(*outcome) > 0)
            .map(|outcome| (outcome.name(), self.of(outcome)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_and_a_name_of_its_own() {
        let mut outcomes = Outcomes::default();
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at, "{outcome:?}");
            outcomes.add(outcome, at as u64 + 1);
        }
        let names: std::collections::BTreeSet<_> = Outcome::ALL.map(Outcome::name).into();
        assert_eq!(names.len(), Outcome::ALL.len());
        assert_eq!(outcomes.of(Outcome::Passed), 3);
        assert_eq!(outcomes.plus(&outcomes).of(Outcome::Overrun), 12);
        assert_eq!(
            outcomes.failures().into_keys().collect::<Vec<_>>(),
            [
                "cut-short",
                "no-such-target",
                "over-page",
                "overrun",
                "pass-failed",
                "send-failed",
                "unfit"
            ]
        );
    }
}
