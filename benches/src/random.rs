//! Random numbers that are the same on every run: for resampling, and for devices that exist in
//! arithmetic only. No secret depends on them.

/// SplitMix64 (Steele, Lea and Flood 2014): passes the usual tests, and any seed is a good one.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A series of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform, from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform, from 0 to below `end`; 0 when `end` is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        // The bias of the modulus is below 2^-40 for any length of a series.
        if end == 0 { 0 } else { (self.bits() % end as u64) as usize }
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Exponential with that mean: the time until the next of events that come at random.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_that_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let first = [random.bits(), random.bits(), random.bits()];
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, published);
    }

    #[test]
    fn distributions_have_the_moments_they_are_named_for() {
        let mut random = Random::new(1);
        let count = 100_000;
        let normal: Vec<f64> = (0..count).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(count);
        let variance = normal.iter().map(|v| v * v).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let waits = (0..count).map(|_| random.exponential(3.0)).sum::<f64>() / f64::from(count);
        assert!((waits - 3.0).abs() < 0.05, "{waits}");
        let mut seen = [0_i32; 7];
        (0..count).for_each(|_| seen[random.below(7)] += 1);
        assert!(seen.iter().all(|n| (*n - count / 7).abs() < 600), "{seen:?}");
    }
}
