//! The Internet checksum's sums (RFC 1071), as `bpf_csum_diff` gives them.

use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// `csum_partial`: adds the 32-bit words of `bytes` to a sum, the last one filled up with zeroes. As
/// in the kernel the result is 0 only if everything is.
fn partial(bytes: &[u8], seed: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum = u64::from(seed);
    for word in words {
        sum += u64::from(u32::from_le_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_le_bytes(last));
    while sum >> 32 != 0 {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    // The loop has left nothing above.
    sum as u32
}

/// `csum_add`.
const fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u32
}

/// `bpf_csum_diff`: takes the bytes `from` out of a sum and puts the bytes `to` in, and folds it to 16
/// bits (`csum_from32to16`). Kernels before 6.13 leave the sum at 32 bits, which after
/// the fold that every user makes is the same.
fn diff(from: &[u8], to: &[u8], seed: u32) -> u16 {
    let sum = match (from.is_empty(), to.is_empty()) {
        (false, false) => add(partial(to, seed), !partial(from, 0)),
        (true, false) => partial(to, seed),
        (false, true) => !partial(from, !seed),
        (true, true) => seed,
    };
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// `bpf_csum_diff`.
pub(super) fn csum_diff(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    // Of two places one can be borrowed at a time; headers are short.
    let mut copy = [0; 64];
    let mut long = Vec::new();
    let from: &[u8] = match r[1] {
        0 => &[],
        size @ 1..=64 => {
            let size = size as usize;
            copy[..size].copy_from_slice(run.bytes(r[0], size as u64)?);
            &copy[..size]
        }
        size => {
            long.extend_from_slice(run.bytes(r[0], size)?);
            &long
        }
    };
    let to = if r[3] == 0 { &[] } else { run.bytes(r[2], r[3])? };
    Ok(u64::from(diff(from, to, r[4] as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_kernel() {
        // Each as Linux 6.18 gives them for the same arguments on x86-64.
        for (from, to, seed, expected) in [
            (&[][..], &[][..], 0, 0),
            (&[], &[], 0x0001_ffff, 1),
            (&[], &[1, 2, 3, 4], 0, 0x0604),
            (&[], &[1, 2, 3, 4, 5], 0, 0x0609),
            (&[1, 2, 3, 4], &[], 0, 0xf9fb),
            (&[1, 2, 3, 4], &[1, 2, 3, 4], 0, 0xffff),
            (&[0xff; 4], &[0; 4], 0, 0),
            (&[], &[0xff; 8], 0, 0xffff),
        ] {
            assert_eq!(diff(from, to, seed), expected, "{from:?} {to:?} {seed:#x}");
        }
    }
}
