//! Keys as bytes: hashing and comparing them.

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
    #[inline]
    pub(super) fn hash(self, key: &[u8]) -> u64 {
        let mut hash = self.0;
        let (words, rest) = key.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_ne_bytes(*word));
        }
        if let Some((half, tail)) = rest.split_first_chunk::<4>() {
            hash ^= u64::from(u32::from_ne_bytes(*half));
            for byte in tail {
                hash = hash.rotate_left(8) ^ u64::from(*byte) << 32;
            }
            return fold(hash);
        }
        if rest.is_empty() {
            return hash;
        }
        for byte in rest {
            hash = hash.rotate_left(8) ^ u64::from(*byte);
        }
        fold(hash)
    }
}

/// Multiplies into 128 bits and folds them in half.
#[inline]
const fn fold(word: u64) -> u64 {
    let product = word as u128 * MULTIPLIER as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Whether two keys of one length are the same; the usual lengths without a call.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if let (Ok(a), Ok(b)) = (<[u8; 4]>::try_from(a), <[u8; 4]>::try_from(b)) {
        return a == b;
    }
    if let (Ok(a), Ok(b)) = (<[u8; 8]>::try_from(a), <[u8; 8]>::try_from(b)) {
        return a == b;
    }
    if let (Ok(a), Ok(b)) = (<[u8; 16]>::try_from(a), <[u8; 16]>::try_from(b)) {
        return a == b;
    }
    a == b
}
