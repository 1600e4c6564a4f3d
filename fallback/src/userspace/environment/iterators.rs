//! Open-coded iterators: `bpf_for` over numbers, and over the bits of a mask.

use super::argument::array;
use super::dynptr::int;
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// `BPF_MAX_LOOPS`.
const MAX_LOOPS: i64 = 8 << 20;
/// `BITS_ITER_NR_WORDS_MAX`.
const MOST_WORDS: u32 = 511;
/// Bit iterators that one run may have open at once: more than a verified program finds room for.
const MOST_OPEN: usize = 64;
const ENOMEM: Errno = Errno::ENOMEM;

/// The masks that the bit iterators of a run go over, copied when they begin.
#[derive(Debug, Default)]
pub(super) struct Masks(Vec<Option<Box<[u64]>>>);

impl Masks {
    /// A run starts: what an earlier one left open goes.
    pub(super) fn clear(&mut self) {
        // Most runs open none.
        if !self.0.is_empty() {
            self.0.clear();
        }
    }

    fn open(&mut self, words: Box<[u64]>) -> Option<u64> {
        let free = self.0.iter().position(Option::is_none);
        let at = match free {
            Some(at) => at,
            None if self.0.len() < MOST_OPEN => {
                self.0.push(None);
                self.0.len() - 1
            }
            None => return None,
        };
        self.0[at] = Some(words);
        Some(at as u64)
    }

    fn get(&self, at: u64) -> &[u64] {
        self.0.get(at as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    fn close(&mut self, at: u64) {
        if let Some(slot) = self.0.get_mut(at as usize) {
            *slot = None;
        }
    }
}

/// `struct bpf_iter_num_kern`: the number given last, and the first beyond the range.
fn numbers(run: &mut Running<'_>, at: u64) -> Result<(i32, i32), FaultKind> {
    let [a, b, c, d, e, f, g, h] = array::<8>(run, at)?;
    Ok((i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h])))
}

fn set_numbers(run: &mut Running<'_>, at: u64, now: i32, end: i32) -> Result<(), FaultKind> {
    let bytes = run.bytes_mut(at, 8)?;
    bytes[..4].copy_from_slice(&now.to_ne_bytes());
    bytes[4..].copy_from_slice(&end.to_ne_bytes());
    Ok(())
}

/// `bpf_iter_num_new`.
pub(super) fn num_new(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let (start, end) = (r[1] as i32, r[2] as i32);
    let error = if start > end {
        Errno::EINVAL
    } else if i64::from(end) - i64::from(start) > MAX_LOOPS {
        Errno::E2BIG
    } else {
        set_numbers(run, r[0], start.wrapping_sub(1), end)?;
        return Ok(0);
    };
    set_numbers(run, r[0], 0, 0)?;
    Ok(int(Err(error)))
}

/// `bpf_iter_num_next`: where the number is, or null.
pub(super) fn num_next(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let (now, end) = numbers(run, r[0])?;
    let next = now.wrapping_add(1);
    if next >= end {
        set_numbers(run, r[0], 0, 0)?;
        return Ok(0);
    }
    set_numbers(run, r[0], next, end)?;
    Ok(r[0])
}

/// `bpf_iter_num_destroy`.
pub(super) fn num_destroy(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    set_numbers(run, r[0], 0, 0)?;
    Ok(0)
}

/// `struct bpf_iter_bits_kern`: the mask itself if it is one word, else which of [`Masks`]; its bits;
/// the bit given last.
#[derive(Clone, Copy, Debug)]
struct Bits {
    mask: u64,
    bits: i32,
    bit: i32,
}

impl Bits {
    const EMPTY: Self = Self { mask: 0, bits: 0, bit: -1 };

    fn load(run: &mut Running<'_>, at: u64) -> Result<Self, FaultKind> {
        let mask = u64::from_ne_bytes(array::<8>(run, at)?);
        let (bits, bit) = numbers(run, at.wrapping_add(8))?;
        Ok(Self { mask, bits, bit })
    }

    fn store(self, run: &mut Running<'_>, at: u64) -> Result<(), FaultKind> {
        let bytes = run.bytes_mut(at, 16)?;
        bytes[..8].copy_from_slice(&self.mask.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.bits.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.bit.to_ne_bytes());
        Ok(())
    }
}

/// `bpf_iter_bits_new`.
pub(super) fn bits_new(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let words = r[2] as u32;
    Bits::EMPTY.store(run, r[0])?;
    if r[1] == 0 || words == 0 {
        return Ok(int(Err(Errno::EINVAL)));
    }
    if words > MOST_WORDS {
        return Ok(int(Err(Errno::E2BIG)));
    }
    // The kernel reads without believing the pointer (`bpf_probe_read_kernel_common`).
    let Ok(bytes) = run.bytes(r[1], u64::from(words) * 8) else {
        return Ok(int(Err(super::argument::EFAULT)));
    };
    let (copy, _) = bytes.as_chunks::<8>();
    let copy: Box<[u64]> = copy.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let mask = match *copy {
        [word] => word,
        _ => match run.environment.masks.open(copy) {
            Some(mask) => mask,
            None => return Ok(int(Err(ENOMEM))),
        },
    };
    Bits { mask, bits: words as i32 * 64, bit: -1 }.store(run, r[0])?;
    Ok(0)
}

/// `bpf_iter_bits_next`: where the number of the bit is, or null.
pub(super) fn bits_next(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let mut state = Bits::load(run, r[0])?;
    if state.bits <= 0 || state.bit >= state.bits {
        return Ok(0);
    }
    let one = [state.mask];
    let words = match state.bits {
        64 => &one,
        _ => run.environment.masks.get(state.mask),
    };
    let first = state.bit.wrapping_add(1).max(0);
    let set = |bit: &i32| {
        let word = words.get(*bit as usize / 64).copied().unwrap_or(0);
        word >> (bit % 64) & 1 != 0
    };
    let most = (words.len() as i32).saturating_mul(64).min(state.bits);
    let found = (first..most).find(set);
    state.bit = found.unwrap_or(state.bits);
    state.store(run, r[0])?;
    Ok(if found.is_some() { r[0].wrapping_add(12) } else { 0 })
}

/// `bpf_iter_bits_destroy`.
pub(super) fn bits_destroy(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let state = Bits::load(run, r[0])?;
    if state.bits > 64 {
        run.environment.masks.close(state.mask);
    }
    Bits { bits: 0, ..state }.store(run, r[0])?;
    Ok(0)
}
