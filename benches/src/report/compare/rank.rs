//! Two short series of measurements against each other, by ranks: nothing is assumed about how
//! measurements scatter, and with five against five the chance of a false alarm is known exactly.

/// What two series say about the shift from one to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shift {
    /// Median of all differences between a value of the second series and one of the first (Hodges and
    /// Lehmann).
    pub estimate: f64,
    /// Bounds of the shift at the level asked for (Mann and Whitney's test, inverted); `None` when the
    /// series are too short for it.
    pub interval: Option<(f64, f64)>,
}

/// The shift from `before` to `after`; `None` when one of them is empty.
pub(super) fn shift(before: &[f64], after: &[f64], confidence: f64) -> Option<Shift> {
    let mut differences: Vec<f64> =
        after.iter().flat_map(|a| before.iter().map(move |b| a - b)).collect();
    if differences.is_empty() || differences.iter().any(|d| d.is_nan()) {
        return None;
    }
    differences.sort_by(f64::total_cmp);
    let count = differences.len();
    let estimate = f64::midpoint(differences[(count - 1) / 2], differences[count / 2]);
    let interval = depth(before.len(), after.len(), 1.0 - confidence)
        .map(|depth| (differences[depth - 1], differences[count - depth]));
    Some(Shift { estimate, interval })
}

/// How many of the sorted differences lie outside the interval on each side, the bound included: the
/// largest k with `2 P(U < k) <= alpha`.
fn depth(n: usize, m: usize, alpha: f64) -> Option<usize> {
    let chances = chances(n, m);
    let mut below = 0.0;
    let mut depth = 0;
    for chance in chances.iter().take(n * m / 2) {
        below += chance;
        if 2.0 * below > alpha {
            break;
        }
        depth += 1;
    }
    (depth > 0).then_some(depth)
}

/// The chance of each value of Mann and Whitney's U when both series are drawn from one distribution:
/// f(n, m, u) = f(n - 1, m, u - m) + f(n, m - 1, u), over the number of arrangements.
fn chances(n: usize, m: usize) -> Vec<f64> {
    // Row by row: `rows[j]` is f(i, j, .) as probabilities.
    let mut rows: Vec<Vec<f64>> = (0..=m).map(|_| vec![1.0]).collect();
    for i in 1..=n {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for j in 1..=m {
            let mut chance = vec![0.0; i * j + 1];
            let (first, second) = (i as f64 / (i + j) as f64, j as f64 / (i + j) as f64);
            // The largest of all values is of the first series, or of the second.
            for (u, p) in rows[j].iter().enumerate() {
                chance[u + j] += first * p;
            }
            for (u, p) in next[j - 1].iter().enumerate() {
                chance[u] += second * p;
            }
            next.push(chance);
        }
        rows = next;
    }
    rows.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_published_tables() {
        // Two-sided critical values of U at 5 % and 1 %: U at or below them is significant.
        for (n, m, five, one) in [
            (5, 5, Some(2), Some(0)),
            (3, 3, None, None),
            (4, 4, Some(0), None),
            (8, 7, Some(10), Some(6)),
            (10, 10, Some(23), Some(16)),
            (20, 20, Some(127), Some(105)),
        ] {
            let at = |alpha| depth(n, m, alpha).map(|depth| depth - 1);
            assert_eq!((at(0.05), at(0.01)), (five, one), "{n} against {m}");
        }
        let all: f64 = chances(7, 9).iter().sum();
        assert!((all - 1.0).abs() < 1e-12);
        // C(10, 5) = 252 arrangements, one of which has U = 0.
        assert!((chances(5, 5)[0] - 1.0 / 252.0).abs() < 1e-15);
    }

    #[test]
    fn a_plain_shift_is_found() {
        let before = [1.0, 2.0, 3.0, 4.0, 5.0];
        let after = before.map(|value| value + 10.0);
        let shift = shift(&before, &after, 0.99).unwrap();
        assert_eq!((shift.estimate, shift.interval), (10.0, Some((6.0, 14.0))));
    }

    #[test]
    fn too_short_series_have_an_estimate_and_no_interval() {
        let short = shift(&[1.0, 2.0], &[2.0, 3.0], 0.99).unwrap();
        assert_eq!((short.estimate, short.interval), (1.0, None));
        assert_eq!(shift(&[], &[1.0], 0.99), None);
        assert_eq!(shift(&[f64::NAN], &[1.0], 0.99), None);
    }
}
