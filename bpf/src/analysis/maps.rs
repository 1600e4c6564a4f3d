//! What a program's maps need.

use std::collections::BTreeMap;

use super::collect::{Collector, Place};
use crate::module::{Map, MapId, Module, Target};
use crate::requirements::{Feature, LimitKind, Need, Strength};

/// Map types whose size is not counted in entries of key and value.
const RINGBUFS: [u32; 2] = [27, 31];

/// `BPF_F_NUMA_NODE`.
const F_NUMA_NODE: u32 = 4;

/// Claims what the given maps need (with the first place that refers to each), and that the
/// module's other maps may be wanted.
pub(super) fn claim<'m>(
    out: &mut Collector<'m>,
    module: &'m Module,
    used: BTreeMap<MapId, Place<'m>>,
) {
    let mut all: BTreeMap<MapId, Option<Place<'m>>> =
        used.into_iter().map(|(map, place)| (map, Some(place))).collect();
    // Maps that used maps hold from the start are created too.
    let mut work: Vec<MapId> = all.keys().copied().collect();
    while let Some(id) = work.pop() {
        let Some(map) = module.maps.get(id.0 as usize) else { continue };
        for slot in &map.initial {
            if let Target::Map(held) = slot.value
                && !all.contains_key(&held)
            {
                all.insert(held, None);
                work.push(held);
            }
        }
    }
    let mut sizes = Sizes::default();
    for (index, map) in module.maps.iter().enumerate() {
        match all.get(&MapId(index as u32)) {
            Some(&place) => {
                shape(out, map, &map.name, Strength::Must, place);
                sizes.add(map);
            }
            None => shape(out, map, &map.name, Strength::May, None),
        }
    }
    sizes.claim(out);
}

/// Type and flags of one map, and of the maps it is to hold.
fn shape<'m>(
    out: &mut Collector<'m>,
    map: &'m Map,
    name: &str,
    strength: Strength,
    place: Option<Place<'m>>,
) {
    if map.section.is_some() {
        out.feature(Feature::GlobalData, strength, place);
        return;
    }
    out.add(Need::MapType(map.kind), strength, Some(name), place);
    let flags = map.flags | if map.numa_node.is_some() { F_NUMA_NODE } else { 0 };
    for bit in (0..32).map(|b| 1_u32 << b).filter(|b| flags & b != 0) {
        out.add(Need::MapFlag(bit), strength, Some(name), place);
    }
    // Maps of maps hold no maps of maps: the kernel allows one level.
    if let Some(inner) = &map.inner {
        out.add(Need::MapType(inner.kind), strength, Some(name), place);
    }
}

/// The largest of each measure with the map that has it.
#[derive(Default)]
struct Sizes<'m> {
    entries: (u64, &'m str),
    key: (u64, &'m str),
    value: (u64, &'m str),
    bytes: u64,
}

impl<'m> Sizes<'m> {
    fn add(&mut self, map: &'m Map) {
        let grow = |(most, name): &mut (u64, &'m str), size: u32| {
            if u64::from(size) > *most {
                (*most, *name) = (u64::from(size), &map.name);
            }
        };
        if !RINGBUFS.contains(&map.kind) {
            grow(&mut self.entries, map.max_entries);
        }
        grow(&mut self.key, map.key_size);
        grow(&mut self.value, map.value_size);
        self.bytes = self.bytes.saturating_add(bytes(map));
    }

    fn claim(self, out: &mut Collector<'_>) {
        for (kind, (size, name)) in [
            (LimitKind::MapEntries, self.entries),
            (LimitKind::KeyBytes, self.key),
            (LimitKind::ValueBytes, self.value),
        ] {
            if size > 0 {
                out.add(Need::Limit(kind, size), Strength::Must, Some(name), None);
            }
        }
        if self.bytes > 0 {
            let need = Need::Limit(LimitKind::MapBytes, self.bytes);
            out.add(need, Strength::Must, None, None);
        }
    }
}

/// Memory of a map, estimated: contents with the kernel's headers for hash elements and buckets;
/// for per-CPU maps, one CPU's share.
fn bytes(map: &Map) -> u64 {
    let round = |bytes: u32| u64::from(bytes).next_multiple_of(8);
    let (entries, value) = (u64::from(map.max_entries), round(map.value_size));
    match map.kind {
        // hash, per-CPU hash, LRU and per-CPU LRU: struct htab_elem and struct bucket.
        1 | 5 | 9 | 10 => entries
            .saturating_mul(48 + round(map.key_size) + value)
            .saturating_add(entries.next_power_of_two().saturating_mul(16)),
        // struct lpm_trie_node, inner nodes included.
        11 => entries.saturating_mul(2 * (40 + u64::from(map.key_size) + value)),
        27 | 31 => entries,
        _ => entries.saturating_mul(value.max(8)),
    }
}
