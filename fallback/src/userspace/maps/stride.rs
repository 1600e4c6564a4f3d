//! Which entry an offset is in: asked at every access to a value, and a division takes longer than all
//! the rest of the answer.

/// The distance of entries, in bytes, with its reciprocal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stride {
    bytes: u64,
    /// 2^64 over the distance, rounded up.
    reciprocal: u64,
    /// Offsets below are divided exactly by multiplication: the reciprocal is too large by less than
    /// `bytes / 2^64` of itself, so the quotient by less than `offset / 2^64`, and a true quotient is
    /// at least `1 / bytes` short of the next number.
    below: u64,
}

impl Stride {
    /// `bytes` is at least 2.
    pub(super) const fn new(bytes: u64) -> Self {
        let below = u64::MAX / bytes;
        Self { bytes, reciprocal: below + 1, below }
    }

    /// The number of the entry, and the offset within it.
    #[inline]
    pub(super) const fn split(self, offset: u64) -> (u64, u64) {
        let entry = if offset < self.below {
            ((offset as u128 * self.reciprocal as u128) >> 64) as u64
        } else {
            offset / self.bytes
        };
        (entry, offset - entry * self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Stride;

    #[test]
    fn splits_as_a_division_does() {
        let strides = [2, 3, 8, 24, 40, 56, 1000, 4096, 65_544, (1 << 32) + 8, (1 << 40) - 8];
        for bytes in strides {
            let stride = Stride::new(bytes);
            let limit = u64::MAX / bytes;
            let mut offsets = vec![0, 1, limit - 1, limit, limit + 1, u64::MAX];
            for entry in (0..64).map(|bit| limit >> bit).chain(0..1000) {
                let start = entry * bytes;
                offsets.extend([start, start.saturating_sub(1), start.saturating_add(bytes - 1)]);
            }
            for offset in offsets {
                assert_eq!(stride.split(offset), (offset / bytes, offset % bytes), "{offset}");
            }
        }
    }
}
