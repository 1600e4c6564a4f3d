//! A small generator of numbers: the same for the same seed, everywhere.

/// `splitmix64`.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a limit that is not 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) const fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }

    /// Numbers at which arithmetic changes, more often than others.
    pub(crate) fn number(&mut self) -> i32 {
        let edges = [0, 1, -1, 2, 7, 8, 31, 32, 63, 64, 255, 256, i32::MIN, i32::MAX, -128, 65535];
        match self.below(3) {
            0 => self.pick(&edges),
            1 => self.below(64) as i32 - 32,
            _ => self.next() as i32,
        }
    }
}
