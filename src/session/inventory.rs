//! What can be set in a program before it is loaded: its variables and its maps, as values to begin
//! with.

use hoist_offload::bpf::btf::{Btf, value};
use hoist_offload::bpf::module::{Map, Module};
use hoist_offload::bpf::names;
use serde_json::Value;

use super::codec::Codec;
use super::variables;

/// A variable or a map, with an example of what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Of a map its type, of a variable its section.
    pub kind: String,
    /// Of a map a key of zeroes.
    pub key: Option<Value>,
    /// Of a map a value of zeroes, of a variable what it holds.
    pub value: Value,
}

/// Global variables with what they hold. None where the object has no types.
#[must_use]
pub fn variables(module: &Module) -> Vec<Item> {
    let Ok(btf) = Btf::parse(&module.btf) else { return Vec::new() };
    let all = variables::all(module, &btf).into_iter();
    all.filter_map(|variable| {
        let map = module.maps.iter().find(|map| map.name == variable.section)?;
        let range = variable.offset..variable.offset + variable.size;
        let zeroes = vec![0; variable.size];
        let bytes = map.data.get(range).unwrap_or(&zeroes);
        Some(Item {
            value: value::to_json(&btf, variable.type_id, bytes),
            name: variable.name,
            kind: variable.section,
            key: None,
        })
    })
    .collect()
}

/// Maps that the program declares and that can be filled, in the object's order.
#[must_use]
pub fn maps(module: &Module) -> Vec<Item> {
    let btf = Btf::parse(&module.btf).ok();
    let declared = module.maps.iter().filter(|map| map.section.is_none() && map.key_size > 0);
    declared
        .map(|map| {
            let example = |id: Option<u32>, size: u32| {
                let codec = Codec::new(btf.as_ref().zip(id), size).number();
                codec.to_json(&vec![0; size as usize])
            };
            let Map { key_size, value_size, key_type_id, value_type_id, .. } = *map;
            Item {
                name: map.name.clone(),
                kind: names::map_type(map.kind),
                key: Some(example(key_type_id, key_size)),
                value: example(value_type_id, value_size),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use hoist_offload::bpf::programs;

    use super::*;

    fn module(name: &str) -> Module {
        let object = programs::get(name).expect("one of ours").object;
        Module::parse(name, object).expect("well-formed")
    }

    #[test]
    fn variables_and_maps_have_examples_of_their_types() {
        let lpm = maps(&module("lpm_block"));
        assert_eq!(lpm[0].name, "blocked");
        assert_eq!(lpm[0].kind, "lpm_trie");
        let key = lpm[0].key.as_ref().expect("maps have keys");
        assert_eq!(key["bits"], 0, "{key}");
        let globals = variables(&module("globals"));
        assert!(!globals.is_empty());
        assert!(globals.iter().all(|v| v.key.is_none() && v.kind.starts_with('.')), "{globals:?}");
        assert_eq!(variables(&module("drop")), []);
    }
}
