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
    let rounds = in_turn(count, &mut [&mut ours, &mut theirs])?;
    Ok(Comparison { ours: rounds.summary(0), theirs: rounds.summary(1) })
}

/// Several series taken in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// One value of each series per round.
    rounds: Vec<Vec<f64>>,
}

impl Rounds {
    /// What each round gives when `figure` is applied to its values: the difference of two of them,
    /// say, in which whatever disturbed that round alone cancels out.
    ///
    /// # Panics
    /// When `figure` gives something that is not a number.
    pub fn of(&self, figure: impl Fn(&[f64]) -> f64) -> Summary {
        let series: Vec<f64> = self.rounds.iter().map(|round| figure(round)).collect();
        // Never empty: `in_turn` takes at least one round.
        Summary::of(&series).expect("figures are numbers")
    }

    /// The values of one series.
    #[must_use]
    pub fn summary(&self, series: usize) -> Summary {
        self.of(|round| round[series])
    }
}

/// One thing that can be measured again and again.
pub type Measurement<'m, E> = &'m mut dyn FnMut() -> Result<f64, E>;

/// Takes measurements in turn, `count` times each, every other round in reverse. One round more is
/// taken first and thrown away.
///
/// # Errors
/// The first measurement that fails.
///
/// # Panics
/// When `count` is zero.
pub fn in_turn<E>(count: usize, sides: &mut [Measurement<'_, E>]) -> Result<Rounds, E> {
    assert!(count > 0, "a comparison needs at least one round");
    for side in sides.iter_mut() {
        side()?;
    }
    let mut rounds = Vec::with_capacity(count);
    for round in 0..count {
        let mut values = vec![f64::NAN; sides.len()];
        for turn in 0..sides.len() {
            let side = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
            values[side] = sides[side]()?;
        }
        rounds.push(values);
    }
    Ok(Rounds { rounds })
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
    fn differences_are_taken_within_a_round() {
        let drift = RefCell::new(0.0);
        let next = |more: f64| {
            *drift.borrow_mut() += 10.0;
            Ok::<_, ()>(*drift.borrow() + more)
        };
        // The machine slows down by 10 with every measurement; the third is 5 above the first.
        let sides: &mut [Measurement<'_, ()>] =
            &mut [&mut || next(0.0), &mut || next(1.0), &mut || next(5.0)];
        let rounds = in_turn(4, sides).unwrap();
        assert_eq!(rounds.of(|round| round[2] - round[0]).median, 5.0);
        assert!(rounds.summary(2).median > 55.0);
    }

    #[test]
    fn a_failed_measurement_ends_it() {
        assert_eq!(interleaved(2, || Err("no"), || Ok(1.0)), Err("no"));
    }
}
