//! Log-linear histograms: sixteen buckets for each power of two, so that no value is further than a
//! sixteenth from the end of its bucket, whatever its size.

use crate::trial::Percentiles;

/// Buckets of each power of two.
const EACH: u64 = 16;
/// Its logarithm.
const EACH_BITS: u32 = 4;

/// Buckets that hold every value below 2^40.
pub const BUCKETS: usize = 592;

/// The bucket of a value. `benches/programs/receive.bpf.c` computes the same.
#[must_use]
pub const fn bucket(value: u64) -> usize {
    if value < EACH {
        return value as usize;
    }
    let exponent = u64::BITS - 1 - value.leading_zeros();
    let within = value >> (exponent - EACH_BITS) & (EACH - 1);
    (exponent - EACH_BITS + 1) as usize * EACH as usize + within as usize
}

/// The greatest value of a bucket.
#[must_use]
pub const fn upper(bucket: usize) -> u64 {
    let (power, within) = (bucket as u64 / EACH, bucket as u64 % EACH);
    if power == 0 {
        return within;
    }
    let width = 1_u64 << (power - 1);
    (EACH + within) * width + (width - 1)
}

/// How many values fell into each bucket, and the extremes, which are exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], min: u64::MAX, max: 0 }
    }
}

impl Histogram {
    /// Adds one value.
    pub fn add(&mut self, value: u64) {
        self.add_many(bucket(value), 1);
        self.extend_to(value, value);
    }

    /// Adds values whose bucket is known; the last bucket takes what is beyond it.
    pub fn add_many(&mut self, bucket: usize, values: u64) {
        let last = self.counts.len() - 1;
        self.counts[bucket.min(last)] += values;
    }

    /// Says that values from `min` to `max` are in it.
    pub fn extend_to(&mut self, min: u64, max: u64) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Adds all values of another.
    pub fn join(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.extend_to(other.min, other.max);
    }

    /// How many values are in it.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Its percentiles; `None` when it is empty.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let frames = self.values();
        if frames == 0 {
            return None;
        }
        let at = |per_ten_thousand: u64| self.quantile(frames, per_ten_thousand);
        Some(Percentiles {
            frames,
            min: self.min.min(self.max),
            p50: at(5_000),
            p90: at(9_000),
            p99: at(9_900),
            p99_9: at(9_990),
            p99_99: at(9_999),
            max: self.max,
        })
    }

    /// The least value that this part of the values does not exceed (nearest rank), as the upper end
    /// of its bucket, and never more than the greatest value.
    fn quantile(&self, frames: u64, per_ten_thousand: u64) -> u64 {
        let rank = (u128::from(frames) * u128::from(per_ten_thousand)).div_ceil(10_000).max(1);
        let mut below = 0_u128;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += u128::from(*count);
            if below >= rank {
                return upper(bucket).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_and_are_a_sixteenth_wide_at_most() {
        for b in 1..BUCKETS {
            let (first, last) = (upper(b - 1) + 1, upper(b));
            assert_eq!((bucket(first), bucket(last)), (b, b), "bucket {b}");
            assert!((last - first) * EACH <= first, "bucket {b}: {first} to {last}");
        }
        assert_eq!(upper(BUCKETS - 1), (1 << 40) - 1);
    }

    /// A generator of numbers that is the same everywhere (SplitMix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values_within_a_sixteenth() {
        let mut state = 1;
        for round in 0..200 {
            let count = 1 + random(&mut state) % 30_000;
            // From a few nanoseconds to minutes, so that every power of two has its turn.
            let shift = random(&mut state) % 40;
            let draw = |state: &mut u64| random(state) >> 24 >> (random(state) % (shift + 1));
            let mut values: Vec<u64> = (0..count).map(|_| draw(&mut state)).collect();
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.add(*value));
            values.sort_unstable();
            let exact = |p: u64| values[((count * p).div_ceil(10_000).max(1) - 1) as usize];
            let found = histogram.percentiles().unwrap();
            assert_eq!((found.frames, found.min, found.max), (count, values[0], exact(10_000)));
            for (p, found) in [
                (5_000, found.p50),
                (9_000, found.p90),
                (9_900, found.p99),
                (9_990, found.p99_9),
                (9_999, found.p99_99),
            ] {
                let exact = exact(p);
                assert!(
                    found >= exact && (found - exact) * EACH <= exact,
                    "round {round}, {p}: {found} for {exact}"
                );
            }
        }
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        assert_eq!(Histogram::default().percentiles(), None);
    }
}
