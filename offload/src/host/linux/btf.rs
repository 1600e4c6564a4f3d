//! A quick look into the kernel's BTF: which of a few names it has, and the ids of functions among
//! them. Reading it as a whole costs more than everything else that is asked of a host together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hoist_bpf::kernel::Kernel;

pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const KIND_FUNC: u32 = 12;

/// What was found of the names asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Functions, with their type ids.
    pub(super) functions: BTreeMap<String, u32>,
    /// Names that occur as anything at all.
    pub(super) names: Vec<String>,
}

/// Looks for names in the kernel's BTF; `Err` says why it could not be read.
pub(super) fn look_up(kernel: &dyn Kernel, wanted: &[&str]) -> Result<Found, String> {
    match kernel.kernel_btf() {
        Ok(Some(btf)) => {
            search((*btf).as_ref(), wanted).ok_or_else(|| format!("{VMLINUX} is malformed"))
        }
        Ok(None) => Err(format!("there is no {VMLINUX}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether any kernel module brought BTF of its own.
pub(super) fn modules() -> bool {
    let directory = Path::new(VMLINUX).parent().and_then(|d| fs::read_dir(d).ok());
    directory.is_some_and(|d| d.flatten().any(|entry| entry.file_name() != "vmlinux"))
}

fn search(btf: &[u8], wanted: &[&str]) -> Option<Found> {
    if u16::from_ne_bytes(*btf.first_chunk()?) != MAGIC {
        return None;
    }
    let section = |offset_at: usize| {
        let (start, length) = (word(btf, offset_at)?, word(btf, offset_at + 4)?);
        let start = to_usize(word(btf, 4)?)?.checked_add(to_usize(start)?)?;
        btf.get(start..start.checked_add(to_usize(length)?)?)
    };
    let offsets = find_strings(section(16)?, wanted);
    Some(Found {
        functions: find_functions(section(8)?, &offsets),
        names: offsets.into_values().collect(),
    })
}

/// Offsets of whole strings in the string section.
fn find_strings(strings: &[u8], wanted: &[&str]) -> BTreeMap<u32, String> {
    // One pass for each way the names begin, of which there are few, finds a few thousand places.
    let beginnings: BTreeSet<&str> =
        wanted.iter().map(|name| name.get(..4).unwrap_or(name)).collect();
    let wanted: BTreeSet<&[u8]> = wanted.iter().map(|name| name.as_bytes()).collect();
    let mut found = BTreeMap::new();
    for beginning in beginnings {
        let needle = format!("\0{beginning}");
        for at in memchr::memmem::find_iter(strings, needle.as_bytes()) {
            let rest = &strings[at + 1..];
            let name = memchr::memchr(0, rest).and_then(|end| wanted.get(&rest[..end]));
            if let (Some(name), Ok(offset)) = (name, u32::try_from(at + 1)) {
                found.insert(offset, String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    found
}

/// Walks the types, whose lengths follow from their kinds, counting ids from 1.
fn find_functions(types: &[u8], offsets: &BTreeMap<u32, String>) -> BTreeMap<String, u32> {
    // One bit for each remainder of an offset. Nearly all types fail this, so it comes before the kind,
    // which no branch can be predicted by.
    let mut likely = [0_u64; 64];
    let place = |offset: u32| ((offset >> 6 & 63) as usize, 1_u64 << (offset & 63));
    for offset in offsets.keys() {
        let (word, bit) = place(*offset);
        likely[word] |= bit;
    }
    let mut functions = BTreeMap::new();
    let (mut at, mut id) = (0, 1);
    while let (Some(name), Some(info)) = (word(types, at), word(types, at + 4)) {
        let kind = info >> 24 & 0x1f;
        let Some((fixed, each)) = BYTES[kind as usize] else { break };
        let (word, bit) = place(name);
        if likely[word] & bit != 0 && kind == KIND_FUNC {
            functions.extend(offsets.get(&name).map(|name| (name.clone(), id)));
        }
        at += usize::from(fixed) + usize::from(each) * (info & 0xffff) as usize;
        id += 1;
    }
    functions
}

/// Bytes of a type and of each of its members, by `BTF_KIND_*` of `linux/btf.h`. A table takes no
/// branch on kinds.
const BYTES: [Option<(u8, u8)>; 32] = {
    let mut bytes = [None; 32];
    let mut kind = 1;
    while kind <= 19 {
        bytes[kind] = Some(match kind {
            1 | 14 | 17 => (16, 0),
            3 => (24, 0),
            4 | 5 | 15 | 19 => (12, 12),
            6 | 13 => (12, 8),
            _ => (12, 0),
        });
        kind += 1;
    }
    bytes
};

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn to_usize(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let lengths = [types.len() * 4, strings.len()].map(|n| u32::try_from(n).expect("small"));
        for number in [24, 0, lengths[0], lengths[0], lengths[1]].iter().chain(types) {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    /// Ids count types of every length; a name that is only the tail of another does not count.
    #[test]
    fn functions_are_found_with_their_ids() {
        let kind = |kind: u32, members: u32| kind << 24 | members;
        let strings = b"\0a_bpf_one\0bpf_one\0bpf_two\0";
        let types = [
            [0, kind(1, 0), 4, 32].as_slice(),      // 1: int
            &[0, kind(4, 2), 8, 1, 1, 0, 1, 1, 32], // 2: struct of two members
            &[0, kind(13, 1), 0, 0, 1],             // 3: function type
            &[1, kind(12, 1), 3],                   // 4: function a_bpf_one
            &[11, kind(12, 1), 3],                  // 5: function bpf_one
        ]
        .concat();
        let found = search(&btf(&types, strings), &["bpf_one", "bpf_two", "bpf_three"]);
        let found = found.expect("well formed");
        assert_eq!(found.functions, BTreeMap::from([("bpf_one".to_owned(), 5)]));
        assert_eq!(found.names, ["bpf_one", "bpf_two"]);
    }

    #[test]
    fn malformed_btf_is_refused_or_read_as_far_as_it_goes() {
        let whole = btf(&[0, 1 << 24, 4, 32, 1, 12 << 24, 1], b"\0func\0");
        for end in 0..whole.len() {
            assert!(search(&whole[..end], &["func"]).is_none(), "{end} bytes");
        }
        let strange = btf(&[0, 31 << 24, 0, 1, 12 << 24, 1], b"\0func\0");
        assert_eq!(search(&strange, &["func"]).expect("sections").functions, BTreeMap::new());
    }
}
