//! Hashing keys.

use std::hash::{BuildHasher, RandomState};

/// Odd, with bits in no pattern: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A keyed hash, so that frames cannot be chosen to collide. Which entry lies where does not depend
/// on it: walks follow the places in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u64);

impl Seed {
    pub(super) fn random() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// The hash of a key. All keys of a table have one length.
    #[inline(always)]
    pub(super) fn hash(self, key: &[u8]) -> u64 {
        let mut hash = self.0;
        let (words, rest) = key.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_ne_bytes(*word));
        }
        if rest.is_empty() {
            return hash;
        }
        if let Ok(half) = <[u8; 4]>::try_from(rest) {
            return fold(hash ^ u64::from(u32::from_ne_bytes(half)));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        fold(hash ^ u64::from_ne_bytes(last))
    }
}

/// Multiplies into 128 bits and folds them in half.
#[inline]
const fn fold(word: u64) -> u64 {
    let product = word as u128 * MULTIPLIER as u128;
    product as u64 ^ (product >> 64) as u64
}
