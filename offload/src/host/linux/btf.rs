//! A quick look into the kernel's BTF: which of a few names it has, and the ids of functions among
//! them. Reading it as a whole costs more than everything else that is asked of a host together.

use std::collections::BTreeMap;
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
        Ok(Some(btf)) => search(&btf, wanted).ok_or_else(|| format!("{VMLINUX} is malformed")),
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
    wanted
        .iter()
        .filter_map(|name| {
            let needle = format!("\0{name}\0");
            let at = memchr::memmem::find(strings, needle.as_bytes())?;
            Some((u32::try_from(at + 1).ok()?, (*name).to_owned()))
        })
        .collect()
}

/// Walks the types, whose lengths follow from their kinds, counting ids from 1.
fn find_functions(types: &[u8], offsets: &BTreeMap<u32, String>) -> BTreeMap<String, u32> {
    let mut functions = BTreeMap::new();
    let (mut at, mut id) = (0, 1);
    let (least, most) = match (offsets.first_key_value(), offsets.last_key_value()) {
        (Some((least, _)), Some((most, _))) => (*least, *most),
        _ => return functions,
    };
    while let (Some(name), Some(info)) = (word(types, at), word(types, at + 4)) {
        let kind = info >> 24 & 0x1f;
        let Some(extra) = extra_bytes(kind, to_usize(info & 0xffff).unwrap_or(0)) else {
            break;
        };
        if kind == KIND_FUNC && (least..=most).contains(&name) {
            functions.extend(offsets.get(&name).map(|name| (name.clone(), id)));
        }
        at += 12 + extra;
        id += 1;
    }
    functions
}

/// Bytes after the common 12 of a type: `enum` of `BTF_KIND_*` in `linux/btf.h`.
const fn extra_bytes(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => members * 12,
        6 | 13 => members * 8,
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn to_usize(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}
