//! The integers that values consist of, and their sums: what becomes of a value for each CPU where there
//! is one for all.

use super::{Btf, Kind};

/// Offset and size in bytes of the integers of which values of a map of `size` bytes consist, in order:
/// by the values' type, else 8 bytes each. `None`: they hold something else, or it is not known.
#[must_use]
pub fn integers(of: Option<(&Btf, u32)>, size: usize) -> Option<Vec<(usize, usize)>> {
    let mut all = Vec::new();
    match of {
        Some((btf, type_id)) => collect(btf, type_id, 0, &mut all)?,
        None if size.is_multiple_of(8) => all.extend((0..size).step_by(8).map(|at| (at, 8))),
        None => return None,
    }
    all.iter().all(|(at, bytes)| at + bytes <= size).then_some(all)
}

fn collect(btf: &Btf, type_id: u32, at: usize, all: &mut Vec<(usize, usize)>) -> Option<()> {
    /// As deep and as many as no map's value is.
    const MOST: usize = 4096;
    let found = btf.strip(type_id)?;
    match found.kind() {
        Kind::Int => {
            let int = found.int()?;
            let counts = !int.bool && !int.char && int.bit_offset == 0 && int.size <= 8;
            (counts && u32::from(int.bits) == 8 * int.size && all.len() < MOST)
                .then(|| all.push((at, int.size as usize)))
        }
        Kind::Array => {
            let array = found.array()?;
            let size = btf.size_of(array.element)? as usize;
            (0..array.count as usize)
                .try_for_each(|i| collect(btf, array.element, at + i * size, all))
        }
        Kind::Struct => found.members().try_for_each(|member| {
            let whole = member.bits == 0 && member.bit_offset.is_multiple_of(8);
            whole.then_some(())?;
            collect(btf, member.type_id, at + member.bit_offset as usize / 8, all)
        }),
        _ => None,
    }
}

/// One value of `size` bytes for those of all CPUs, which are padded to 8 bytes each: integers are
/// added up in the host's byte order, what does not fit is lost as it is in a program, and what is no
/// integer is zero.
#[must_use]
pub fn summed(value: &[u8], size: usize, integers: &[(usize, usize)]) -> Vec<u8> {
    let mut sum = vec![0; size];
    for of_cpu in value.chunks(size.next_multiple_of(8).max(1)) {
        for &(at, bytes) in integers {
            let range = at..at + bytes;
            if let (Some(to), Some(from)) = (sum.get_mut(range.clone()), of_cpu.get(range)) {
                add(to, from);
            }
        }
    }
    sum
}

fn add(to: &mut [u8], from: &[u8]) {
    let number = |bytes: &[u8]| {
        let mut all = [0; 8];
        if cfg!(target_endian = "big") {
            all[8 - bytes.len()..].copy_from_slice(bytes);
        } else {
            all[..bytes.len()].copy_from_slice(bytes);
        }
        u64::from_ne_bytes(all)
    };
    let sum = number(to).wrapping_add(number(from)).to_ne_bytes();
    let size = to.len();
    to.copy_from_slice(if cfg!(target_endian = "big") { &sum[8 - size..] } else { &sum[..size] });
}
