//! Damages object files, mostly where it hurts: headers, tables, BTF.

/// A small generator of pseudo-random numbers (xorshift64*): the same seed, the same objects.
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence. Any seed will do.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

/// Values that sit on the edges of checks.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_fff8,
    u64::MAX,
];

/// A damaged copy of an object.
#[must_use]
pub(crate) fn mutate(random: &mut Random, object: &[u8]) -> Vec<u8> {
    let mut bytes = object.to_vec();
    for _ in 0..=random.below(6) {
        let (start, end) = region(random, &bytes);
        let at = start + random.below(end - start);
        match random.below(16) {
            0 => bytes.truncate(at),
            1 | 2 => flip(&mut bytes, at, random),
            3 => {
                let from = random.below(bytes.len());
                let len = random.below(64).min(bytes.len() - from.max(at));
                bytes.copy_within(from..from + len, at);
            }
            4 => {
                let len = 8 * random.below(16);
                let extra: Vec<u8> = (0..len).map(|i| (i * 37) as u8).collect();
                bytes.splice(at..at, extra);
            }
            5 | 6 => nudge(&mut bytes, at & !3, random),
            kind => {
                let width = [1, 2, 4, 8][kind % 4];
                put(&mut bytes, at & !(width - 1), width, EDGES[random.below(EDGES.len())]);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Which part to damage: half of the time a section's contents, for section headers lie at the end
/// and contents are what most code reads.
fn region(random: &mut Random, bytes: &[u8]) -> (usize, usize) {
    let whole = (0, bytes.len());
    let word = |at: usize| {
        bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map_or(0, u64::from_ne_bytes) as usize
    };
    let headers = word(40);
    match random.below(8) {
        0 => (0, bytes.len().min(64)),
        1 | 2 if headers < bytes.len() => (headers, bytes.len()),
        3..=6 if headers < bytes.len() => {
            let count = (bytes.len() - headers) / 64;
            let header = headers + 64 * random.below(count);
            let (start, len) = (word(header + 24), word(header + 32));
            match start.checked_add(len) {
                Some(end) if end <= bytes.len() && len > 0 => (start, end),
                _ => whole,
            }
        }
        _ => whole,
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Moves a 32-bit number by a little.
fn nudge(bytes: &mut [u8], at: usize, random: &mut Random) {
    let old = bytes.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let new = old.wrapping_add(random.below(33) as u32).wrapping_sub(16);
    put(bytes, at, 4, u64::from(new));
}

fn put(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    if let Some(field) = bytes.get_mut(at..at + width) {
        field.copy_from_slice(&value.to_ne_bytes()[..width]);
    }
}
