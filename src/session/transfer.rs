//! From one map into another: what may be copied, whether it fits, and how counters of each CPU become
//! plain ones and plain ones those of a CPU. Pure: who reads and writes is elsewhere.

use std::collections::BTreeMap;

use hoist_offload::Error;
use hoist_offload::bpf::btf::{self, Btf};
use hoist_offload::bpf::kernel::{Entries, MapInfo};
use hoist_offload::bpf::names::{is_per_cpu, map_type};

/// `enum bpf_map_type`: types whose entries are bytes that mean the same in every map.
const TABLES: [u32; 7] =
    [HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE];
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_HASH: u32 = 5;
const PERCPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LRU_PERCPU_HASH: u32 = 10;
const LPM_TRIE: u32 = 11;

/// Whether every key of a map exists from the start and cannot be deleted.
#[must_use]
pub const fn is_indexed(kind: u32) -> bool {
    matches!(kind, ARRAY | PERCPU_ARRAY)
}

/// What becomes of a value on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// The same bytes.
    AsTheyAre,
    /// The values of all CPUs are added up, integer by integer: offsets and sizes.
    Summed(Vec<(usize, usize)>),
    /// The first CPU gets the value, the others zeroes: the sum stays.
    FirstCpu,
}

impl Values {
    /// The word for it in documents.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AsTheyAre => "as-they-are",
            Self::Summed(_) => "summed",
            Self::FirstCpu => "first-cpu",
        }
    }

    /// What goes into a map whose values have `one` bytes for each of `cpus` CPUs.
    #[must_use]
    pub fn turned(&self, value: Vec<u8>, one: usize, cpus: usize) -> Vec<u8> {
        let padded = one.next_multiple_of(8).max(1);
        match self {
            Self::AsTheyAre => value,
            Self::FirstCpu => {
                let mut all = value;
                all.resize(padded * cpus, 0);
                all
            }
            Self::Summed(integers) => btf::summed(&value, one, integers),
        }
    }
}

/// A map as far as copying is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Type and sizes.
    pub info: &'a MapInfo,
    /// Its types, where it has some.
    pub btf: Option<&'a Btf>,
}

fn refused(what: String, hint: &str) -> Error {
    Error::Input { what, hint: Some(hint.to_owned()) }
}

/// Whether entries of one map may go into another, and how. `counters`: values are counters, whose sum
/// is what matters.
///
/// # Errors
/// [`Error::Input`] with the first thing in which the maps do not match.
pub fn values(from: Side<'_>, to: Side<'_>, counters: bool) -> Result<Values, Error> {
    for side in [from, to] {
        if !TABLES.contains(&side.info.kind) {
            let kind = map_type(side.info.kind);
            return Err(refused(
                format!("map '{}': entries of a {kind} cannot be copied", side.name),
                "hash, array, LRU hash and LPM trie can, with values for each CPU as well",
            ));
        }
    }
    let both = format!("map '{}' to map '{}'", from.name, to.name);
    if (from.info.kind == LPM_TRIE) != (to.info.kind == LPM_TRIE) {
        return Err(refused(
            format!("{both}: only the one has prefixes as keys"),
            "an lpm_trie is copied to an lpm_trie",
        ));
    }
    for (what, has, needs) in [
        ("keys", from.info.key_size, to.info.key_size),
        ("values", from.info.value_size, to.info.value_size),
    ] {
        if has != needs {
            return Err(refused(
                format!("{both}: {what} of {has} bytes do not fit {what} of {needs} bytes"),
                "copy between maps of the same definition",
            ));
        }
    }
    let (each, plain) = (is_per_cpu(from.info.kind), !is_per_cpu(to.info.kind));
    if each != plain {
        return Ok(Values::AsTheyAre);
    }
    if !counters {
        let (one, other) = if each { (from.name, to.name) } else { (to.name, from.name) };
        return Err(refused(
            format!("{both}: '{one}' has a value for each CPU, '{other}' has one for all"),
            "if the values are counters: --counters keeps their sums",
        ));
    }
    if plain {
        let wrong = || {
            let what = format!("{both}: values of '{}' are not made of integers alone", from.name);
            refused(what, "read it with 'hoist map dump' and write what it means")
        };
        return integers(from).map(Values::Summed).ok_or_else(wrong);
    }
    Ok(Values::FirstCpu)
}

/// Offsets and sizes of the integers that a map's values consist of.
fn integers(map: Side<'_>) -> Option<Vec<(usize, usize)>> {
    let id = map.info.btf_value_type_id;
    btf::integers(map.btf.filter(|_| id != 0).map(|btf| (btf, id)), map.info.value_size as usize)
}

/// Whether all entries find room. `there` are those that the map holds and keeps.
///
/// # Errors
/// [`Error::Input`] with how much room there is.
pub fn room(
    to: Side<'_>,
    entries: &Entries,
    there: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), Error> {
    let most = to.info.max_entries as usize;
    if is_indexed(to.info.kind) {
        let index = |key: &[u8]| key.try_into().map_or(u32::MAX, u32::from_ne_bytes);
        let last = entries.iter().map(|(key, _)| index(key)).max();
        return match last.filter(|last| *last as usize >= most) {
            Some(last) => Err(refused(
                format!("map '{}' has {most} entries, and entry {last} is to be written", to.name),
                "give it more when its program is loaded: --max-entries MAP=N",
            )),
            None => Ok(()),
        };
    }
    let new = entries.iter().filter(|(key, _)| !there.contains_key(key)).count();
    if there.len() + new > most {
        return Err(refused(
            format!(
                "map '{}' has room for {most} entries: {} are there and {new} new ones are to be written",
                to.name,
                there.len()
            ),
            "give it more when its program is loaded: --max-entries MAP=N",
        ));
    }
    Ok(())
}

/// What became of entries that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReadBack {
    /// As written.
    pub same: usize,
    /// With another value.
    pub different: usize,
    /// Not there.
    pub missing: usize,
}

/// Compares what was written with what is there.
#[must_use]
pub fn read_back(written: &Entries, there: &BTreeMap<Vec<u8>, Vec<u8>>) -> ReadBack {
    let mut found = ReadBack::default();
    for (key, value) in written {
        match there.get(key) {
            Some(is) if is == value => found.same += 1,
            Some(_) => found.different += 1,
            None => found.missing += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kind: u32, key_size: u32, value_size: u32, max_entries: u32) -> MapInfo {
        MapInfo { kind, key_size, value_size, max_entries, ..MapInfo::default() }
    }

    fn told(error: Error) -> String {
        let Error::Input { what, hint } = error else { panic!("{error:?}") };
        format!("{what}; {}", hint.unwrap_or_default())
    }

    #[test]
    fn maps_match_or_the_difference_is_told() {
        let hash = info(HASH, 8, 16, 4);
        let cases = [
            (hash.clone(), hash.clone(), false, Ok(Values::AsTheyAre)),
            (hash.clone(), info(LRU_HASH, 8, 16, 9), false, Ok(Values::AsTheyAre)),
            (info(ARRAY, 4, 8, 2), info(HASH, 4, 8, 2), false, Ok(Values::AsTheyAre)),
            (info(6, 4, 8, 2), info(5, 4, 8, 2), false, Ok(Values::AsTheyAre)),
            (
                info(6, 4, 16, 2),
                info(ARRAY, 4, 16, 2),
                true,
                Ok(Values::Summed(vec![(0, 8), (8, 8)])),
            ),
            (info(ARRAY, 4, 16, 2), info(6, 4, 16, 2), true, Ok(Values::FirstCpu)),
            (info(ARRAY, 4, 16, 2), info(6, 4, 16, 2), false, Err("a value for each CPU")),
            (info(6, 4, 12, 2), info(ARRAY, 4, 12, 2), true, Err("not made of integers")),
            (
                hash.clone(),
                info(HASH, 4, 16, 4),
                false,
                Err("keys of 8 bytes do not fit keys of 4"),
            ),
            (hash.clone(), info(HASH, 8, 4, 4), false, Err("values of 16 bytes do not fit")),
            (hash.clone(), info(LPM_TRIE, 8, 16, 4), false, Err("only the one has prefixes")),
            (info(3, 4, 4, 4), hash, false, Err("entries of a prog_array cannot be copied")),
        ];
        for (from, to, counters, expected) in cases {
            let side = |name, info| Side { name, info, btf: None };
            match (values(side("a", &from), side("b", &to), counters), expected) {
                (Ok(values), Ok(expected)) => assert_eq!(values, expected, "{from:?} {to:?}"),
                (Err(error), Err(words)) => {
                    let told = told(error);
                    assert!(told.contains(words), "{told}");
                }
                (is, expected) => panic!("{from:?} {to:?}: {is:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_told_before_anything_is_written() {
        let entry = |n: u32| (n.to_ne_bytes().to_vec(), vec![0; 8]);
        let there: BTreeMap<_, _> = [entry(1), entry(7)].into();
        let cases = [
            (ARRAY, vec![0, 1], true),
            (ARRAY, vec![0, 3], false),
            (HASH, vec![1, 2], true),
            (HASH, vec![2, 3], false),
            (LRU_HASH, vec![2, 3], false),
        ];
        for (kind, keys, fits) in cases {
            let info = info(kind, 4, 8, 3);
            let side = Side { name: "to", info: &info, btf: None };
            let entries: Entries = keys.iter().map(|key| entry(*key)).collect();
            let room = room(side, &entries, &there);
            assert_eq!(room.is_ok(), fits, "{kind} {keys:?}: {room:?}");
        }
    }

    #[test]
    fn counters_keep_their_sums() {
        let two = |a: u64, b: u32| [&a.to_ne_bytes()[..], &b.to_ne_bytes(), &[0; 4]].concat();
        let each = [two(1, u32::MAX), two(300, 2)].concat();
        let summed = Values::Summed(vec![(0, 8), (8, 4)]);
        assert_eq!(summed.turned(each, 12, 2), two(301, 1)[..12]);
        let back = Values::FirstCpu.turned(two(301, 1)[..12].to_vec(), 12, 3);
        assert_eq!(back, [two(301, 1), two(0, 0), two(0, 0)].concat());
        assert_eq!(summed.turned(back, 12, 3), two(301, 1)[..12]);
    }

    #[test]
    fn what_is_read_back_is_compared_key_by_key() {
        let entry = |key: u8, value: u8| (vec![key], vec![value]);
        let there = [entry(1, 1), entry(2, 9)].into();
        let found = read_back(&vec![entry(1, 1), entry(2, 2), entry(3, 3)], &there);
        assert_eq!(found, ReadBack { same: 1, different: 1, missing: 1 });
    }
}
