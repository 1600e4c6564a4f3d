//! Declarations of maps: sizes the user gives, creation flags, LRU.

use super::report::{Problem, Report, Rewrite};
use super::scope::Scope;
use super::target::Target;
use crate::module::{Map, Module};
use crate::names;

pub(super) const HASH: u32 = 1;
pub(super) const ARRAY: u32 = 2;
pub(super) const PERCPU_HASH: u32 = 5;
pub(super) const PERCPU_ARRAY: u32 = 6;
pub(super) const LRU_HASH: u32 = 9;
pub(super) const LRU_PERCPU_HASH: u32 = 10;
const LPM_TRIE: u32 = 11;

/// `BPF_F_NO_PREALLOC`: when memory is taken.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_NO_COMMON_LRU`: one list of the least recently used for each CPU.
const NO_COMMON_LRU: u32 = 1 << 1;
/// `BPF_F_NUMA_NODE`: where memory is taken.
const NUMA_NODE: u32 = 1 << 2;
/// `BPF_F_ZERO_SEED`: the order of a hash, for tests.
const ZERO_SEED: u32 = 1 << 6;
/// `BPF_F_RDONLY_PROG` and `BPF_F_WRONLY_PROG`: what the verifier lets programs do. The program was
/// taken with them, and lowering makes it neither read nor write more.
const PROG_ACCESS: u32 = 1 << 7 | 1 << 8;
/// `BPF_F_MMAPABLE`: another way for user space to the same contents.
const MMAPABLE: u32 = 1 << 10;

/// Flags that say how the host keeps a map, not what it holds.
pub(super) const MEANINGLESS: u32 = NO_PREALLOC | NUMA_NODE | ZERO_SEED | PROG_ACCESS | MMAPABLE;

/// Code of the difference between an LRU hash and a hash.
pub(super) const LRU_BOUND: &str = "lru-bound";

pub(super) fn run(module: &mut Module, scope: &Scope, target: &Target, report: &mut Report) {
    for (name, &entries) in &target.max_entries {
        size(module, scope, name, entries, report);
    }
    for &id in &scope.maps {
        let map = &mut module.maps[id.0 as usize];
        // Global data is looked after where it is used.
        if map.section.is_some() {
            continue;
        }
        if matches!(map.kind, LRU_HASH | LRU_PERCPU_HASH) && !target.lru_maps {
            if !target.accept.contains(LRU_BOUND) {
                report.problems.push(bound(map));
                continue;
            }
            let message = format!(
                "map {}: {} became a hash: when its {} entries are taken, new keys fail instead of \
                 evicting old ones",
                map.name,
                names::map_type(map.kind),
                map.max_entries
            );
            map.kind = if map.kind == LRU_HASH { HASH } else { PERCPU_HASH };
            map.flags &= !NO_COMMON_LRU;
            report.map_changed(Rewrite::LruToHash, map, message);
        }
        flags(map, target, report);
    }
}

fn bound(map: &Map) -> Problem {
    let message = format!(
        "map {} is of type {}, which the card has not; a hash in its place fails when it is full \
         instead of evicting",
        map.name,
        names::map_type(map.kind)
    );
    let remedy = "size the map so that it never fills and pass --accept lru-bound";
    Problem::new("lru-bound", message, remedy).of(map)
}

fn size(module: &mut Module, scope: &Scope, name: &str, entries: u32, report: &mut Report) {
    let found = module.maps.iter().position(|m| m.name == name && m.section.is_none());
    let Some(at) = found else {
        let message =
            format!("{}: no map is named {name}, so it cannot be given a size", module.name);
        let remedy = "`bpftool btf dump file OBJ` lists the maps";
        let problem = Problem::new("no-such-map", message, remedy);
        report.problems.push(Problem { map: Some(name.to_owned()), ..problem });
        return;
    };
    let map = &mut module.maps[at];
    let before = std::mem::replace(&mut map.max_entries, entries);
    if before != entries && scope.maps.iter().any(|id| id.0 as usize == at) {
        let message = format!("map {name}: {entries} entries, as told, instead of {before}");
        report.map_changed(Rewrite::Entries, map, message);
    }
}

pub(super) fn flags(map: &mut Map, target: &Target, report: &mut Report) {
    // The host's kernel makes no LPM trie without it, wherever the trie ends up.
    let needed = if map.kind == LPM_TRIE { NO_PREALLOC } else { 0 };
    let dropped = map.flags & !target.map_flags & MEANINGLESS & !needed;
    let node = target.map_flags & NUMA_NODE == 0 && map.numa_node.take().is_some();
    if dropped != 0 || node {
        map.flags &= !dropped;
        let gone = names::map_flags(dropped | if node { NUMA_NODE } else { 0 });
        let message = format!(
            "map {}: {} dropped, which only says how a host keeps the map",
            map.name,
            gone.join(", ")
        );
        report.map_changed(Rewrite::MapFlags, map, message);
    }
    let left = map.flags & !target.map_flags & !needed;
    if left != 0 {
        let message = format!(
            "map {} is created with {}, which the card does not take and which cannot be dropped \
             without changing what the map does",
            map.name,
            names::map_flags(left).join(", ")
        );
        let remedy = "drop the flag from the map's definition";
        report.problems.push(Problem::new("missing-map-flag", message, remedy).of(map));
    }
}
