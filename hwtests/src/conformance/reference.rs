//! What the first engine made of each shot, for the others to be held against.
//!
//! A case names what it is about. Maps that it does not name may hold anything, but they must hold the
//! same on every engine.

use std::collections::BTreeMap;

use hoist_bpf::btf::value::hex;

use super::report::{Evidence, Outcome};
use super::shot::Shot;
use super::tables::Dump;

/// Map contents after each shot on the first engine where it passed.
#[derive(Debug, Default)]
pub(super) struct Reference {
    shots: BTreeMap<(String, Evidence), (String, Dump)>,
}

impl Reference {
    /// The outcome of a shot that passed, given what the maps hold after it.
    pub(super) fn hold(
        &mut self,
        shot: &Shot,
        engine: &str,
        evidence: Evidence,
        dump: Dump,
    ) -> Outcome {
        let key = (shot.name.clone(), evidence);
        let Some((first, reference)) = self.shots.get(&key) else {
            self.shots.insert(key, (engine.to_owned(), dump));
            return Outcome::Passed;
        };
        let differences = differences(first, reference, &dump);
        match differences.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Differs { known: None, differences },
        }
    }
}

fn differences(first: &str, reference: &Dump, dump: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for (map, theirs) in reference {
        let Some(ours) = dump.get(map) else { continue };
        for key in theirs.keys().chain(ours.keys().filter(|key| !theirs.contains_key(*key))) {
            let text = |value: Option<&Vec<u8>>| value.map_or("nothing".to_owned(), |v| hex(v));
            let (theirs, ours) = (theirs.get(key), ours.get(key));
            if theirs != ours {
                found.push(format!(
                    "map {}[{}] is {}, on {first} it was {}",
                    map.0,
                    hex(key),
                    text(ours),
                    text(theirs)
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_maps_of_the_same_kind_counts() {
        let dump = |entries: &[(&str, u32, u8, u8)]| {
            let mut dump = Dump::new();
            for (name, kind, key, value) in entries {
                let map = dump.entry(((*name).to_owned(), *kind)).or_default();
                map.insert(vec![*key], vec![*value]);
            }
            dump
        };
        let first = dump(&[("a", 1, 1, 1), ("a", 1, 2, 2), ("cpus", 16, 0, 9)]);
        for (other, expected) in [
            (vec![("a", 1, 1, 1), ("a", 1, 2, 2), ("cpus", 2, 0, 8)], vec![]),
            (
                vec![("a", 1, 1, 1), ("a", 1, 2, 3)],
                vec!["map a[0x02] is 0x03, on native it was 0x02"],
            ),
            (vec![("a", 1, 1, 1)], vec!["map a[0x02] is nothing, on native it was 0x02"]),
            (
                vec![("a", 1, 1, 1), ("a", 1, 2, 2), ("a", 1, 3, 3)],
                vec!["map a[0x03] is 0x03, on native it was nothing"],
            ),
        ] {
            assert_eq!(differences("native", &first, &dump(&other)), expected);
        }
    }
}
