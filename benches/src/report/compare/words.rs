//! A comparison as lines that people read.

use std::fmt;

use super::{Compared, Comparison, Key, Verdict};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomparable => "not comparable",
            Self::Same => "the same",
            Self::Unclear => "unclear",
            Self::Faster => "faster",
            Self::Slower => "slower",
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, hook, program, profile, cores, search, .. } = self;
        write!(f, "{program} on {engine}")?;
        if !hook.is_empty() && hook != "xdp" {
            write!(f, " ({hook})")?;
        }
        if !profile.is_empty() {
            write!(f, ", {profile}")?;
        }
        if *cores > 1 {
            write!(f, ", {cores} cores")?;
        }
        if search != "maximum" {
            write!(f, ", {search}")?;
        }
        Ok(())
    }
}

impl Compared {
    /// The cell in a line: `drop on native, 64: 0.93 times the rate (0.91 to 0.95): slower`.
    #[must_use]
    pub fn line(&self) -> String {
        let ratio = match (self.ratio, self.interval) {
            (Some(ratio), Some(interval)) => {
                format!("{ratio:.3} times the rate ({:.3} to {:.3}): ", interval.low, interval.high)
            }
            (Some(ratio), None) => format!("{ratio:.3} times the rate: "),
            (None, _) => String::new(),
        };
        let reasons = match self.reasons.as_slice() {
            [] => String::new(),
            reasons => format!(" ({})", reasons.join("; ")),
        };
        format!("{}: {ratio}{}{reasons}", self.cell, self.verdict)
    }
}

impl Comparison {
    /// What follows from all cells, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = |verdict| self.cells.iter().filter(|cell| cell.verdict == verdict).count();
        let of = self.cells.len();
        let effect = self.least_effect * 100.0;
        let told = match self.verdict {
            Verdict::Slower => format!("{} of {of} cells slower", count(Verdict::Slower)),
            Verdict::Faster => format!("{} of {of} cells faster", count(Verdict::Faster)),
            Verdict::Unclear => format!("{} of {of} cells unclear", count(Verdict::Unclear)),
            Verdict::Same => format!("{} of {of} cells the same", count(Verdict::Same)),
            Verdict::Incomparable => return self.incomparable(),
        };
        let apart = match count(Verdict::Incomparable) {
            0 => String::new(),
            count => format!("; {count} not comparable"),
        };
        let percent = self.confidence * 100.0;
        format!("{told}{apart} (changes of at least {effect} %, at {percent} % confidence)")
    }

    fn incomparable(&self) -> String {
        if self.differences.is_empty() {
            return "nothing to compare: no cell is measured in both reports".to_owned();
        }
        format!("not comparable: {}", self.differences.join("; "))
    }
}
