//! Map contents as a file: what `hoist map dump` writes and `--maps` reads.

use std::collections::BTreeMap;
use std::path::Path;

use hoist_offload::Error;
use hoist_offload::bpf::btf::Btf;
use hoist_offload::bpf::kernel::Entries;
use hoist_offload::bpf::module::{Map, MapId, Module};
use hoist_offload::bpf::names::is_per_cpu;
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
