//! Maps: types, flags and sizes.

use std::collections::BTreeSet;

use hoist_bpf::analysis::Values;
use hoist_bpf::module::{Map, MapId, Target};
use hoist_bpf::names;

use super::Rule;
use super::survey::Survey;

impl Survey<'_> {
    pub(super) fn maps(&mut self, values: &Values) {
        let mut used = BTreeSet::new();
        let mut told = BTreeSet::new();
        for spot in self.spots(values) {
            let (map, address) = match spot.inst.target {
                Target::Map(map) => (map, false),
                Target::MapValue { map, .. } => (map, true),
                _ => continue,
            };
            used.insert(map);
            let Some(known) = self.module.maps.get(map.0 as usize) else { continue };
            if address && told.insert((spot.function, spot.inst.line, map)) {
                let message = format!(
                    "takes an address in {}: offloaded maps have no address in the program",
                    known.name
                );
                let name = known.name.clone();
                self.broken_at_map(Rule::GlobalData, spot, &name, message);
            }
        }
        let on_card: Vec<MapId> = used.into_iter().filter(|id| self.map(*id)).collect();
        self.sizes(&on_card);
    }

    /// Judges one map by itself; whether it lives on the card.
    fn map(&mut self, id: MapId) -> bool {
        let Some(map) = self.module.maps.get(id.0 as usize) else { return false };
        // Said of the instructions that take its address.
        if map.section.is_some() || self.profile.maps.on_host.contains(&map.kind) {
            return false;
        }
        let name = &map.name;
        if !self.profile.maps.on_card.contains(&map.kind) {
            let kind = names::map_type(map.kind);
            let message = format!("{name} is of type {kind}; only hashes and arrays are offloaded");
            self.broken_by_map(Rule::MapType, name, message);
            return false;
        }
        let refused = map.flags & !self.profile.maps.flags;
        if refused != 0 || map.numa_node.is_some() {
            let flags = (0..32).map(|bit| 1_u32 << bit).filter(|flag| refused & flag != 0);
            let mut flags: Vec<String> = flags.map(names::map_flag).collect();
            flags.extend(map.numa_node.map(|node| format!("NUMA node {node}")));
            let message = format!("{name} is created with {}", flags.join(", "));
            self.broken_by_map(Rule::MapFlags, name, message);
        }
        true
    }

    fn sizes(&mut self, maps: &[MapId]) {
        let module = self.module;
        let get = |id: &MapId| module.maps.get(id.0 as usize);
        let known: Vec<&Map> = maps.iter().filter_map(get).collect();
        if known.is_empty() {
            return;
        }
        let count = known.len() as u64;
        if let Some((has, source)) = self.demand("max_maps", count) {
            let message =
                format!("the program uses {count} maps on the card, which holds {has} ({source})");
            self.broken_by_program(Rule::MapCount, message);
        }
        let entries = known.iter().map(|map| u64::from(map.max_entries)).sum();
        if let Some((has, source)) = self.demand("max_elements", entries) {
            let message = format!(
                "the maps have {entries} entries together; the card holds {has} for all its programs ({source})"
            );
            self.broken_by_program(Rule::MapEntries, message);
        }
        for map in known {
            let name = &map.name;
            if let Some((has, source)) = self.demand("max_map_entries", map.max_entries.into()) {
                let message = format!(
                    "{name} has {} entries; the card takes {has} ({source})",
                    map.max_entries
                );
                self.broken_by_map(Rule::MapEntries, name, message);
            }
            let whole = |bytes: u32| u64::from(bytes).next_multiple_of(8);
            let (key, value) = (u64::from(map.key_size), u64::from(map.value_size));
            for (parameter, bytes, what) in [
                (
                    "max_element_bytes",
                    whole(map.key_size) + whole(map.value_size),
                    "key and value, each rounded up to 8 bytes, take",
                ),
                ("max_key_bytes", key, "its key takes"),
                ("max_value_bytes", value, "its value takes"),
            ] {
                if let Some((has, source)) = self.demand(parameter, bytes) {
                    let message =
                        format!("{name}: {what} {bytes} bytes; the card takes {has} ({source})");
                    self.broken_by_map(Rule::ElementSize, name, message);
                }
            }
        }
    }
}
