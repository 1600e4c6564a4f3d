//! Giving maps another size before a program is loaded.

use hoist_offload::Error;
use hoist_offload::bpf::module::{Map, Module};

use crate::suggest;

/// Sets `max_entries` of maps by name, whatever engine makes them.
///
/// # Errors
/// [`Error::Input`] when the object has no such map, or the map's size is not the user's to choose.
pub(super) fn set(module: &mut Module, sizes: &[(String, u32)]) -> Result<(), Error> {
    for (name, entries) in sizes {
        let Some(map) = module.maps.iter_mut().find(|m| m.name == *name) else {
            let own = module.maps.iter().filter(|m| m.section.is_none());
            let names: Vec<&str> = own.map(|m| m.name.as_str()).collect();
            return Err(Error::Input {
                what: format!(
                    "--max-entries {name}={entries}: {} has no map called '{name}'",
                    module.name
                ),
                hint: Some(suggest::instead(name, "map", &names)),
            });
        };
        check(map, *entries)?;
        map.max_entries = *entries;
    }
    Ok(())
}

/// Whether a map may get this size.
///
/// # Errors
/// [`Error::Input`] when the map's size is not the user's to choose, or too small.
pub(crate) fn check(map: &Map, entries: u32) -> Result<(), Error> {
    let refused = |why: String, hint: &str| Error::Input {
        what: format!("--max-entries {}={entries}: {why}", map.name),
        hint: Some(hint.to_owned()),
    };
    if map.section.is_some() {
        let why = "it holds the object's variables, which give it its size".to_owned();
        return Err(refused(why, "--set VAR=VALUE sets variables"));
    }
    // Slots that the object fills itself, such as the programs of a table of tail calls.
    if let Some(last) = map.initial.iter().map(|slot| slot.slot).max()
        && last >= entries
    {
        let why = format!("the object fills its slot {last}");
        return Err(refused(why, &format!("give it {} entries or more", last + 1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hoist_offload::bpf::programs;

    use super::*;

    #[test]
    fn sizes_are_set_or_refused_with_the_reason() {
        // Object, map, entries, words: empty where it is set.
        let cases = [
            ("acl", "rules", 7, ""),
            ("acl", "ruels", 7, "has no map called 'ruels'; did you mean 'rules'?"),
            ("globals", ".bss", 2, "variables, which give it its size"),
            ("tail_call", "next", 1, "fills its slot"),
            ("tail_call", "next", 64, ""),
        ];
        for (object, map, entries, words) in cases {
            let mut module = Module::parse(object, programs::get(object).unwrap().object).unwrap();
            let done = set(&mut module, &[(map.to_owned(), entries)]);
            let found = module.maps.iter().find(|m| m.name == map);
            match done {
                Ok(()) => {
                    assert_eq!(words, "", "{object}/{map}");
                    assert_eq!(found.unwrap().max_entries, entries, "{object}/{map}");
                }
                Err(Error::Input { what, hint }) => {
                    let told = format!("{what}; {}", hint.unwrap_or_default());
                    assert!(!words.is_empty() && told.contains(words), "{object}/{map}: {told}");
                    assert!(found.is_none_or(|m| m.max_entries != entries), "{object}/{map}");
                }
                Err(error) => panic!("{object}/{map}: {error:?}"),
            }
        }
    }
}
