//! `bpf_get_prandom_u32`.

use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// A generator of numbers that look random and come from a seed: SplitMix64, of which every 64-bit
/// number is a state, and none is bad.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// `bpf_get_prandom_u32`.
pub(super) fn number(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(u64::from(run.environment.random.next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_numbers_and_no_others() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_ne!(numbers(0)[0], numbers(0)[1]);
    }
}
