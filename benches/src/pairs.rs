//! Comparisons in interleaved pairs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stats::Summary;

/// Two series taken in turn, and the ratio of their medians.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first thing.
    pub ours: Summary,
    /// What it is compared with.
    pub theirs: Summary,
}

impl Comparison {
    /// Median of ours over median of theirs.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.ours.median / self.theirs.median
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ours, theirs } = self;
        write!(
            f,
            "{:.3} against {:.3} (min {:.3} and {:.3}, max {:.3} and {:.3}, {} pairs): ratio {:.3}",
            ours.median,
            theirs.median,
            ours.min,
            theirs.min,
            ours.max,
            theirs.max,
            ours.runs,
            self.ratio()
        )
    }
}

/// Takes two measurements in turn, `count` times each, the one that comes first changing from pair to
/// pair, so that whatever drifts meanwhile (frequency, caches, neighbours) meets both alike. One
/// pair more is taken first and thrown away.
///
/// # Errors
/// The first measurement that fails.
///
/// # Panics
/// When `count` is zero.
pub fn interleaved<E>(
    count: usize,
    mut ours: impl FnMut() -> Result<f64, E>,
    mut theirs: impl FnMut() -> Result<f64, E>,
) -> Result<Comparison, E> {
    assert!(count > 0, "a comparison needs at least one pair");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    ours()?;
    theirs()?;
    for pair in 0..count {
        if pair % 2 == 0 {
            first.push(ours()?);
            second.push(theirs()?);
        } else {
            second.push(theirs()?);
            first.push(ours()?);
        }
    }
    let summary = |series: &[f64]| {
        // Never empty: `count` is not zero.
        Summary::of(series).expect("measurements are numbers")
    };
    Ok(Comparison { ours: summary(&first), theirs: summary(&second) })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn measurements_alternate_and_the_first_pair_is_thrown_away() {
        let order = RefCell::new(String::new());
        let take = |name: char, value: f64| {
            order.borrow_mut().push(name);
            Ok::<_, ()>(value)
        };
        let result = interleaved(3, || take('a', 1.0), || take('b', 4.0)).unwrap();
        assert_eq!(order.into_inner(), "ababbaab");
        assert_eq!((result.ours.runs, result.theirs.runs), (3, 3));
        assert_eq!(result.ratio(), 0.25);
    }

    #[test]
    fn a_failed_measurement_ends_it() {
        assert_eq!(interleaved(2, || Err("no"), || Ok(1.0)), Err("no"));
    }
}
