//! Map contents: set before each shot, compared after it, by the types of the program's BTF where it
//! has them.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::btf::{Btf, value};
use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{DataSection, Module};
use hoist_bpf::names::is_per_cpu;
use hoist_offload::MapHandle;
use serde_json::{Value, json};

use super::case::Entry;
use super::place::Place;
use crate::dut::Failure;

/// Kinds of maps (`enum bpf_map_type`) whose contents can be read and put back.
const PLAIN: [u32; 10] = [1, 2, 5, 6, 9, 10, 11, 14, 16, 25];
/// Those whose keys are always there.
const ARRAYS: [u32; 2] = [2, 6];

/// Contents of maps by name and kind.
pub(super) type Dump = BTreeMap<(String, u32), BTreeMap<Vec<u8>, Vec<u8>>>;

/// The maps of one loaded program.
#[derive(Debug)]
pub(super) struct Tables {
    /// What `"@near"` and `"@exit"` stand for.
    indices: BTreeMap<&'static str, u32>,
    cpus: usize,
    btf: Option<Btf>,
    maps: Vec<MapHandle>,
    sections: BTreeSet<String>,
    /// What each map held when it was loaded.
    base: BTreeMap<String, Entries>,
}

impl Tables {
    pub(super) fn new(
        place: &Place,
        module: &Module,
        maps: Vec<MapHandle>,
    ) -> Result<Self, Failure> {
        let constant = |name: &str| {
            let sections = module.maps.iter().filter(|m| m.section == Some(DataSection::Rodata));
            sections.map(|m| &m.name).any(|n| n == name)
        };
        let maps: Vec<MapHandle> = maps
            .into_iter()
            .filter(|m| PLAIN.contains(&m.def().kind) && !constant(&m.def().name))
            .collect();
        let mut base = BTreeMap::new();
        for map in &maps {
            base.insert(map.def().name.clone(), map.entries()?);
        }
        let sections = module.maps.iter().filter(|m| m.section.is_some());
        Ok(Self {
            indices: ["@near", "@exit"]
                .into_iter()
                .filter_map(|word| Some((word, place.index(word)?)))
                .collect(),
            cpus: place.dut.kernel().possible_cpus()?,
            btf: if module.btf.is_empty() { None } else { Btf::parse(&module.btf).ok() },
            sections: sections.map(|m| m.name.clone()).collect(),
            maps,
            base,
        })
    }

    /// Puts every map into the state it was loaded in, with these entries on top.
    pub(super) fn reset(&self, contents: &BTreeMap<String, Vec<Entry>>) -> Result<(), Failure> {
        for name in contents.keys() {
            self.named(name)?;
        }
        for map in &self.maps {
            let def = map.def();
            let mut wanted: BTreeMap<Vec<u8>, Vec<u8>> =
                self.base.get(&def.name).cloned().unwrap_or_default().into_iter().collect();
            for entry in contents.get(&def.name).into_iter().flatten() {
                let (key, value) = self.encode(map, entry)?;
                let copies = if is_per_cpu(def.kind) { self.cpus } else { 1 };
                let padded = if is_per_cpu(def.kind) {
                    value.len().next_multiple_of(8)
                } else {
                    value.len()
                };
                let mut one = value;
                one.resize(padded, 0);
                wanted.insert(key, one.repeat(copies));
            }
            let held: BTreeMap<Vec<u8>, Vec<u8>> = map.entries()?.into_iter().collect();
            if !ARRAYS.contains(&def.kind) {
                for key in held.keys().filter(|key| !wanted.contains_key(*key)) {
                    map.delete(key)?;
                }
            }
            for (key, value) in wanted.iter().filter(|(key, value)| held.get(*key) != Some(*value))
            {
                map.update(key, value)?;
            }
        }
        Ok(())
    }

    /// What is not as it should be: one sentence each.
    pub(super) fn differences(
        &self,
        variables: &BTreeMap<String, Value>,
        maps: &BTreeMap<String, Vec<Entry>>,
    ) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for (name, expected) in variables {
            if let Some(difference) = self.variable(name, expected)? {
                found.push(difference);
            }
        }
        for (name, entries) in maps {
            let map = self.named(name)?;
            let mut held: BTreeMap<Vec<u8>, Vec<u8>> = map.entries()?.into_iter().collect();
            for entry in entries {
                let (key, expected) = self.encode(map, entry)?;
                match held.remove(&key).map(|all| self.sum(map, &all)) {
                    Some(got) if got == expected => {}
                    Some(got) => found.push(format!(
                        "map {name}[{}]: {}, expected {}",
                        entry.key,
                        self.text(map, &got),
                        self.text(map, &expected)
                    )),
                    None => found.push(format!("map {name}: no entry {}", entry.key)),
                }
            }
            if !ARRAYS.contains(&map.def().kind) {
                for (key, value) in held {
                    let key = value::hex(&key);
                    found.push(format!(
                        "map {name}[{key}]: {}, expected none",
                        self.text(map, &value)
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Everything that the maps hold, as sums over the CPUs: what engines are compared by beyond what a
    /// case expects. Maps that an engine substitutes are left out by their kind.
    pub(super) fn dump(&self) -> Result<Dump, Failure> {
        let mut dump = Dump::new();
        for map in &self.maps {
            let entries = map.entries()?.into_iter().map(|(key, v)| (key, self.sum(map, &v)));
            dump.insert((map.def().name.clone(), map.def().kind), entries.collect());
        }
        Ok(dump)
    }

    fn variable(&self, name: &str, expected: &Value) -> Result<Option<String>, Failure> {
        let btf =
            self.btf.as_ref().ok_or("the object has no BTF, so its variables have no names")?;
        for map in self.maps.iter().filter(|m| self.sections.contains(&m.def().name)) {
            let Some((_, type_id)) = map.def().types else { continue };
            let Some(got) = map.lookup(&[0; 4])? else { continue };
            let shown = value::to_json(btf, type_id, &got);
            let Some(shown) = shown.get(name) else { continue };
            let mut wanted = got.clone();
            value::update(btf, type_id, &json!({ name: expected }), &mut wanted)?;
            return Ok((got != wanted).then(|| format!("{name} is {shown}, expected {expected}")));
        }
        Err(format!("no variable '{name}' outside .rodata").into())
    }

    fn named(&self, name: &str) -> Result<&MapHandle, Failure> {
        let found = self.maps.iter().find(|m| m.def().name == name);
        found.ok_or_else(|| format!("no map '{name}' whose contents can be read").into())
    }

    fn encode(&self, map: &MapHandle, entry: &Entry) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let def = map.def();
        let (key_type, value_type) = def.types.unwrap_or((0, 0));
        let failed =
            |part: &str, e: Failure| -> Failure { format!("map {}: {part} {e}", def.name).into() };
        let key = self.bytes(&entry.key, key_type, def.key_size).map_err(|e| failed("key", e))?;
        let value =
            self.bytes(&entry.value, value_type, def.value_size).map_err(|e| failed("value", e))?;
        Ok((key, value))
    }

    fn bytes(&self, value: &Value, type_id: u32, size: u32) -> Result<Vec<u8>, Failure> {
        let value = self.indices(value)?;
        let size = size as usize;
        // A devmap's value may be declared smaller than the kernel keeps it.
        let typed = self.btf.as_ref().filter(|b| b.size_of(type_id) == Some(size as u32));
        if let (Some(btf), true) = (typed, type_id != 0) {
            return Ok(value::from_json(btf, type_id, &value)?);
        }
        let digits = value.as_str().and_then(|t| t.strip_prefix("0x"));
        let bytes: Option<Vec<u8>> = match (digits, value.as_i64()) {
            (Some(digits), _) if digits.len() == 2 * size && digits.is_ascii() => {
                (0..size).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
            }
            (None, Some(number)) if size <= 8 && cfg!(target_endian = "little") => {
                Some(number.to_ne_bytes()[..size].to_vec())
            }
            _ => None,
        };
        bytes.ok_or_else(|| {
            format!("{value} is not {size} bytes: write 0x and pairs of digits").into()
        })
    }

    /// `"@near"` and `"@exit"` become numbers.
    fn indices(&self, value: &Value) -> Result<Value, Failure> {
        Ok(match value {
            Value::String(word) if word.starts_with('@') => {
                let index = self.indices.get(word.as_str());
                (*index.ok_or_else(|| format!("{word} is no port here"))?).into()
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, v)| Ok((name.clone(), self.indices(v)?)))
                    .collect::<Result<_, Failure>>()?,
            ),
            Value::Array(items) => {
                Value::Array(items.iter().map(|v| self.indices(v)).collect::<Result<_, Failure>>()?)
            }
            other => other.clone(),
        })
    }

    /// One value; of a per-CPU map the sum over the CPUs, in words of 64 bits, so that no field may
    /// overflow.
    fn sum(&self, map: &MapHandle, bytes: &[u8]) -> Vec<u8> {
        let def = map.def();
        if !is_per_cpu(def.kind) {
            return bytes.to_vec();
        }
        let each = (def.value_size as usize).next_multiple_of(8);
        let mut total = vec![0_u64; each / 8];
        for cpu in bytes.chunks_exact(each) {
            for (sum, word) in total.iter_mut().zip(cpu.chunks_exact(8)) {
                let word = word.try_into().map_or(0, u64::from_ne_bytes);
                *sum = sum.wrapping_add(word);
            }
        }
        let mut value: Vec<u8> = total.iter().flat_map(|word| word.to_ne_bytes()).collect();
        value.truncate(def.value_size as usize);
        value
    }

    fn text(&self, map: &MapHandle, bytes: &[u8]) -> String {
        match (&self.btf, map.def().types) {
            (Some(btf), Some((_, id))) if id != 0 => value::to_json(btf, id, bytes).to_string(),
            _ => value::hex(bytes),
        }
    }
}

/// Sets global variables of a module that is not loaded yet.
pub(super) fn set_variables(
    module: &mut Module,
    variables: &BTreeMap<String, Value>,
) -> Result<(), Failure> {
    if variables.is_empty() {
        return Ok(());
    }
    let btf = Btf::parse(&module.btf)?;
    for (name, wanted) in variables {
        let mut set = false;
        for map in module.maps.iter_mut().filter(|m| m.section.is_some()) {
            let Some(type_id) = map.value_type_id else { continue };
            if value::to_json(&btf, type_id, &map.data).get(name).is_none() {
                continue;
            }
            value::update(&btf, type_id, &json!({ name: wanted }), &mut map.data)?;
            set = true;
        }
        if !set {
            return Err(format!("no global variable '{name}'").into());
        }
    }
    Ok(())
}
