//! What the runs exercised, and whether that is enough to say anything.

use std::fmt;

use super::render::{MARKS, Mark};

/// Counts of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Programs that both forms of ran.
    pub programs: u64,
    /// Runs of both forms, compared.
    pub runs: u64,
    /// Runs by verdict, `XDP_ABORTED` 0 to `XDP_REDIRECT` 4; unknown codes are counted as aborted.
    pub verdicts: [u64; 5],
    /// What the programs noted, by [`Mark`].
    pub marks: [u64; MARKS],
    /// Maps of models that could be compared, and those of them that held something other than
    /// zeroes at the end.
    pub maps: u64,
    /// See [`Coverage::maps`].
    pub filled_maps: u64,
}

/// A share of the runs that must be reached, or not passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// What is counted.
    pub name: &'static str,
    /// Its share, 0 to 1.
    pub share: f64,
    /// The bound.
    pub bound: Bound,
}

/// On which side of a share all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At least this much.
    Least(f64),
    /// At most this much.
    Most(f64),
}

impl Gate {
    /// Whether the share is on the right side.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.bound {
            Bound::Least(least) => self.share >= least,
            Bound::Most(most) => self.share <= most,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, bound) = match self.bound {
            Bound::Least(least) => ("at least", least),
            Bound::Most(most) => ("at most", most),
        };
        let verdict = if self.holds() { "ok" } else { "MISSED" };
        let (share, bound) = (100.0 * self.share, 100.0 * bound);
        write!(f, "{:<18} {share:>5.1} % ({word} {bound:.0} %) {verdict}", self.name)
    }
}

impl Coverage {
    /// Runs in which programs noted something.
    #[must_use]
    pub const fn marked(&self, mark: Mark) -> u64 {
        self.marks[mark as usize]
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.programs += other.programs;
        self.runs += other.runs;
        self.maps += other.maps;
        self.filled_maps += other.filled_maps;
        for (sum, more) in self.verdicts.iter_mut().zip(other.verdicts) {
            *sum += more;
        }
        for (sum, more) in self.marks.iter_mut().zip(other.marks) {
            *sum += more;
        }
    }

    /// The shares that decide whether a campaign says anything.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        let of = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let share = |part: u64| of(part, self.runs);
        let least =
            |name, part, least| Gate { name, share: share(part), bound: Bound::Least(least) };
        let verdicts = ["aborted", "drop", "pass", "tx", "redirect"].into_iter().zip(self.verdicts);
        let mut gates: Vec<Gate> = verdicts.map(|(name, count)| least(name, count, 0.05)).collect();
        gates.extend([
            least("frame resized", self.marked(Mark::Resized), 0.10),
            least("packet written", self.marked(Mark::Wrote), 0.10),
            least("map written", self.marked(Mark::Stored), 0.10),
            least("subprogram called", self.marked(Mark::Called), 0.10),
            Gate {
                name: "left early",
                share: 1.0 - share(self.marked(Mark::Half)),
                bound: Bound::Most(0.40),
            },
            Gate {
                name: "maps not empty",
                share: of(self.filled_maps, self.maps),
                bound: Bound::Least(0.90),
            },
        ]);
        gates
    }

    /// Whether all gates hold.
    #[must_use]
    pub fn enough(&self) -> bool {
        self.gates().iter().all(Gate::holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_verdict_or_many_early_leaves_are_not_enough() {
        let mut marks = [0; MARKS];
        for mark in [Mark::Resized, Mark::Wrote, Mark::Stored, Mark::Called] {
            marks[mark as usize] = 10;
        }
        marks[Mark::Half as usize] = 60;
        let whole =
            Coverage { programs: 1, runs: 100, verdicts: [20; 5], marks, maps: 10, filled_maps: 9 };
        assert!(whole.enough(), "{:?}", whole.gates());
        assert!(!Coverage { verdicts: [24, 24, 24, 24, 4], ..whole.clone() }.enough());
        assert!(!Coverage { filled_maps: 8, ..whole.clone() }.enough());
        for mark in [Mark::Resized, Mark::Wrote, Mark::Stored, Mark::Called, Mark::Half] {
            let mut marks = marks;
            marks[mark as usize] -= 1;
            assert!(!Coverage { marks, ..whole.clone() }.enough(), "{mark:?}");
        }
    }
}
