//! Map contents as a file: what `hoist map dump` writes and `--maps` reads.

use std::collections::BTreeMap;
use std::path::Path;

use hoist_fallback::userspace::maps::Maps;
use hoist_offload::Error;
use hoist_offload::bpf::btf::Btf;
use hoist_offload::bpf::kernel::Entries;
use hoist_offload::bpf::module::{DataSection, Map, MapId, Module};
use hoist_offload::bpf::names::{is_per_cpu, map_type};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::codec::{Codec, FORMS};
use crate::{file, suggest};

/// One or more maps with their entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    /// `hoist.map-dump.v1`.
    #[serde(default)]
    pub schema: String,
    /// The maps.
    pub maps: Vec<MapContents>,
}

/// One map's entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapContents {
    /// The map's name in the object.
    pub name: String,
    /// Map type, for the reader.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Kernel id, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// One entry. Per-CPU maps have a list of values, one for each possible CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
}

impl Contents {
    /// The schema name of the current format.
    pub const SCHEMA: &'static str = "hoist.map-dump.v1";

    /// Reads a file. Several documents one after another are taken together.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let bad = |what: String| Error::Input {
            what: format!("{name}: {what}"),
            hint: Some("'hoist map dump' writes such a file".to_owned()),
        };
        let text = file::text(path).map_err(|error| bad(file::words(&error)))?;
        let mut all = Self { schema: Self::SCHEMA.to_owned(), maps: Vec::new() };
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Self>() {
            let document = document.map_err(|error| bad(error.to_string()))?;
            if !document.schema.is_empty() && document.schema != Self::SCHEMA {
                return Err(bad(format!("'{}' is not {}", document.schema, Self::SCHEMA)));
            }
            all.maps.extend(document.maps);
        }
        Ok(all)
    }

    /// What a machine's maps hold, save those that hold no entries of their own or are frozen.
    #[must_use]
    pub fn of(maps: &mut Maps, module: &Module) -> Self {
        let btf = Btf::parse(&module.btf).ok();
        let ids: Vec<MapId> = maps.ids().collect();
        let all = ids.into_iter().filter_map(|id| {
            let map = module.maps.get(id.0 as usize).filter(|map| keeps_entries(map))?;
            let key = Codec::new(btf.as_ref().zip(map.key_type_id), map.key_size);
            let value = Codec::new(btf.as_ref().zip(map.value_type_id), map.value_size);
            let key = if map.kind == ARRAY { key.number() } else { key };
            let mut entries = Vec::new();
            let mut user = maps.user();
            let mut at = None;
            while let Ok(Some(next)) = user.next_key(id, at.as_deref()) {
                if let Ok(bytes) = user.lookup(id, &next, 0) {
                    let padded = (map.value_size as usize).next_multiple_of(8).max(1);
                    let one = |cpu: &[u8]| {
                        value.to_json(cpu.get(..map.value_size as usize).unwrap_or(cpu))
                    };
                    let value = match is_per_cpu(map.kind) {
                        true => bytes.chunks(padded).map(one).collect(),
                        false => value.to_json(&bytes),
                    };
                    entries.push(Entry { key: key.to_json(&next), value });
                }
                at = Some(next);
            }
            Some(MapContents {
                name: map.name.clone(),
                kind: Some(map_type(map.kind)),
                id: None,
                entries,
            })
        });
        Self { schema: Self::SCHEMA.to_owned(), maps: all.collect() }
    }

    /// The number of CPUs that the contents are for: the length of the lists that per-CPU maps have as
    /// values. `None`: no such map has one.
    #[must_use]
    pub fn cpus(&self, module: &Module) -> Option<usize> {
        let btf = Btf::parse(&module.btf).ok();
        let per_cpu = self.maps.iter().filter_map(|contents| {
            let map = module.maps.iter().find(|m| m.name == contents.name && is_per_cpu(m.kind))?;
            Some((map, &contents.entries))
        });
        per_cpu.flat_map(|(map, entries)| entries.iter().map(move |entry| (map, entry))).find_map(
            |(map, entry)| {
                let codec = Codec::new(btf.as_ref().zip(map.value_type_id), map.value_size);
                let list = entry.value.as_array()?;
                codec.from_json(&entry.value).is_err().then_some(list.len())
            },
        )
    }

    /// The entries as bytes, for each of the module's maps that is named. `cpus` is the number of
    /// possible CPUs where the maps will live; `None` for a host one only plans for.
    ///
    /// # Errors
    /// [`Error::Input`] naming the map that is not there or the entry that does not fit.
    pub fn bytes_for(
        &self,
        module: &Module,
        cpus: Option<usize>,
    ) -> Result<BTreeMap<MapId, Entries>, Error> {
        let btf = Btf::parse(&module.btf).ok();
        let mut all: BTreeMap<MapId, Entries> = BTreeMap::new();
        for contents in &self.maps {
            let position = module.maps.iter().position(|m| m.name == contents.name);
            let Some(position) = position else {
                let names: Vec<&str> = module.maps.iter().map(|m| m.name.as_str()).collect();
                return Err(Error::Input {
                    what: format!("{} has no map called '{}'", module.name, contents.name),
                    hint: Some(suggest::instead(&contents.name, "map", &names)),
                });
            };
            let entries = entries(&module.maps[position], btf.as_ref(), cpus, &contents.entries)?;
            all.entry(MapId(position as u32)).or_default().extend(entries);
        }
        Ok(all)
    }
}

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// Whether user space can read a map's entries and write them again.
fn keeps_entries(map: &Map) -> bool {
    let constant = matches!(map.section, Some(DataSection::Rodata | DataSection::Kconfig));
    let kind = map_type(map.kind);
    let tables = [
        "hash",
        "array",
        "percpu_hash",
        "percpu_array",
        "lru_hash",
        "lru_percpu_hash",
        "lpm_trie",
        "devmap",
        "devmap_hash",
        "cpumap",
        "prog_array",
        "array_of_maps",
        "hash_of_maps",
    ];
    !constant && tables.contains(&kind.as_str())
}

fn entries(
    map: &Map,
    btf: Option<&Btf>,
    cpus: Option<usize>,
    entries: &[Entry],
) -> Result<Entries, Error> {
    let key = Codec::new(btf.zip(map.key_type_id), map.key_size);
    let value = Codec::new(btf.zip(map.value_type_id), map.value_size);
    let bad = |entry: &Entry, part: &str, why: String| Error::Input {
        what: format!("map '{}', entry {}: {part}: {why}", map.name, entry.key),
        hint: Some(FORMS.to_owned()),
    };
    entries
        .iter()
        .map(|entry| {
            let key = key.from_json(&entry.key).map_err(|why| bad(entry, "key", why))?;
            let value = match (is_per_cpu(map.kind), &entry.value) {
                (true, _) => per_cpu(&value, &entry.value, cpus),
                (false, one) => value.from_json(one),
            };
            Ok((key, value.map_err(|why| bad(entry, "value", why))?))
        })
        .collect()
}

/// A per-CPU value: a list with one for each CPU, or one value for all. Without a number of CPUs
/// any list will do.
///
/// # Errors
/// Why the value does not fit.
pub fn per_cpu(codec: &Codec<'_>, value: &Value, cpus: Option<usize>) -> Result<Vec<u8>, String> {
    let padded = |value: &Value| {
        let mut bytes = codec.from_json(value)?;
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        Ok::<_, String>(bytes)
    };
    match value {
        Value::Array(list) if cpus.is_none_or(|cpus| cpus == list.len()) => {
            Ok(list.iter().map(padded).collect::<Result<Vec<_>, _>>()?.concat())
        }
        one => padded(one).map(|bytes| bytes.repeat(cpus.unwrap_or(1))).map_err(|why| match one {
            Value::Array(list) => format!(
                "a list of {}, but there are {} possible CPUs ({why})",
                list.len(),
                cpus.unwrap_or(1)
            ),
            _ => why,
        }),
    }
}
