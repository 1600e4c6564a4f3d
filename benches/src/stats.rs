//! The arithmetic of comparisons.

use serde::{Deserialize, Serialize};

/// Median, extremes and number of a series of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// How many values.
    pub runs: usize,
}

impl Summary {
    /// Summarises a series; `None` when it is empty or holds something that is not a number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        if sorted.is_empty() || sorted.iter().any(|v| v.is_nan()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let (middle, runs) = (sorted.len() / 2, sorted.len());
        let median = if runs.is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min: sorted[0], max: sorted[runs - 1], runs })
    }
}

/// The mean of the middle half of a series: as robust as its median, and finer where the values are
/// whole numbers. `None` when it is empty or holds something that is not a number.
#[must_use]
pub fn middle(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    if sorted.iter().any(|v| v.is_nan()) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    let half = &sorted[quarter..sorted.len() - quarter];
    (!half.is_empty()).then(|| half.iter().sum::<f64>() / half.len() as f64)
}

/// Mean and standard deviation of a sample; `None` when it is empty or holds something that is not a
/// number. A single value has no deviation.
#[must_use]
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let deviation = if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
    Some((mean, deviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_the_sorted_series() {
        for (values, median) in
            [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 3.0, 2.0], 2.5)]
        {
            assert_eq!(Summary::of(&values).unwrap().median, median, "{values:?}");
        }
    }

    #[test]
    fn the_middle_of_a_series_leaves_out_the_outer_quarters() {
        for (values, mean) in [
            (vec![3.0], 3.0),
            (vec![900.0, 1.0, 2.0, 4.0], 3.0),
            (vec![9.0, 1.0, 2.0], 4.0),
            (vec![0.0, 0.0, 5.0, 5.0, 6.0, 6.0, 70.0, 80.0], 5.5),
        ] {
            assert_eq!(middle(&values), Some(mean), "{values:?}");
        }
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[f64::NAN]), None);
    }

    #[test]
    fn deviation_is_that_of_a_sample() {
        assert_eq!(
            mean_and_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]),
            Some((5.0, (32.0_f64 / 7.0).sqrt()))
        );
        assert_eq!(mean_and_deviation(&[3.0]), Some((3.0, 0.0)));
        assert_eq!(mean_and_deviation(&[]), None);
        assert_eq!(mean_and_deviation(&[f64::NAN]), None);
    }

    #[test]
    fn what_is_not_a_series_has_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }
}
