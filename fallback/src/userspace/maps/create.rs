//! Making maps: which kinds there are, what the kernel takes, and what maps start with.

use std::collections::BTreeMap;

use hoist_bpf::btf::Btf;
use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{DataSection, Map as Declared, MapId, Module, ProgramId, Target};
use hoist_bpf::names;
use hoist_offload::Gap;
use hoist_offload::attach::MapDef;

use super::array::Array;
use super::bloom::Bloom;
use super::cpumap::Cpumap;
use super::devmap::Devmap;
use super::events::Events;
use super::fields::Fields;
use super::flags::{create, kind};
use super::hash::Hash;
use super::kinds::Uses;
use super::lpm::Lpm;
use super::queue::Queue;
use super::reach::Reach;
use super::ringbuf::Ringbuf;
use super::slot_array::SlotArray;
use super::table::{Table, World};
use super::user::Permissions;
use super::xskmap::Xskmap;
use super::{Errno, Map, Maps, Options, limits};

/// Ring buffers are whole pages and a power of two.
const PAGE_BYTES: u32 = 4096;

/// Makes the maps that are wanted, and fills them.
pub(super) fn all(
    module: &Module,
    program: ProgramId,
    contents: &BTreeMap<MapId, Entries>,
    options: &Options,
) -> Result<Maps, Vec<Gap>> {
    let reach = Reach::of(module, program, contents.keys().copied());
    let btf = Btf::parse(&module.btf).ok();
    let cpus = options.cpus.max(1);
    let world = World {
        defs: vec![None; module.maps.len()],
        programs: module.programs.iter().map(|program| program.hint).collect(),
        cpus,
        cpu: 0,
        interfaces: options.interfaces.clone(),
    };
    let mut maps = Maps { maps: Vec::new(), world, dirty: Vec::new() };
    maps.maps.resize_with(module.maps.len(), || None);
    let mut gaps = Vec::new();
    for &id in &reach.maps {
        match one(module, module.map(id), btf.as_ref(), cpus) {
            Ok((map, def)) => {
                maps.maps[id.0 as usize] = Some(map);
                maps.world.defs[id.0 as usize] = Some(def);
            }
            Err(gap) if reach.needs(id) => gaps.push(gap),
            Err(_) => {}
        }
    }
    if gaps.is_empty() {
        for id in maps.ids().collect::<Vec<_>>() {
            gaps.extend(fill(&mut maps, module, id, contents.get(&id)).err());
        }
    }
    if gaps.is_empty() { Ok(maps) } else { Err(gaps) }
}

/// One map, empty.
fn one(
    module: &Module,
    declared: &Declared,
    btf: Option<&Btf>,
    cpus: u32,
) -> Result<(Map, MapDef), Gap> {
    let mut def = definition(declared, cpus);
    let fields = match (btf, declared.value_type_id) {
        (Some(btf), Some(id)) => Fields::of(btf, id, def.value_size),
        _ => Fields::default(),
    };
    let lock = fields.lock;
    let plain = fields.is_empty();
    let inner = template(module, declared, cpus);
    let made = table(&mut def, fields, inner, declared.extra, cpus);
    let table = made.map_err(|errno| refused(declared, errno))?;
    let map = Map {
        table,
        uses: Uses::of(def.kind),
        readable: def.flags & create::WRONLY_PROG == 0,
        writable: def.flags & create::RDONLY_PROG == 0,
        user: Permissions::of(def.flags),
        lock,
        plain,
        dirty: false,
    };
    Ok((map, def))
}

fn definition(declared: &Declared, cpus: u32) -> MapDef {
    MapDef {
        name: declared.name.clone(),
        kind: declared.kind,
        key_size: declared.key_size,
        value_size: declared.value_size,
        max_entries: entries(declared, cpus),
        flags: declared.flags | declared.numa_node.map_or(0, |_| create::NUMA_NODE),
        types: match (declared.key_type_id, declared.value_type_id) {
            (None, None) => None,
            (key, value) => Some((key.unwrap_or(0), value.unwrap_or(0))),
        },
    }
}

/// What the inner maps of a map of maps are like: as declared, or as the first one it starts with.
fn template(module: &Module, declared: &Declared, cpus: u32) -> Option<MapDef> {
    if !matches!(declared.kind, kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS) {
        return None;
    }
    let first = declared.initial.iter().find_map(|slot| match slot.value {
        Target::Map(inner) => module.maps.get(inner.0 as usize),
        _ => None,
    });
    let inner = declared.inner.as_deref().or(first)?;
    let mut inner = definition(inner, cpus);
    settle(&mut inner, cpus);
    Some(inner)
}

/// What the kernel makes of a definition on its own.
fn settle(def: &mut MapDef, cpus: u32) {
    if matches!(def.kind, kind::DEVMAP | kind::DEVMAP_HASH) {
        // A lookup returns a pointer straight to the kernel's own value (`dev_map_init_map`).
        def.flags |= create::RDONLY_PROG;
    }
    if def.flags & create::NO_COMMON_LRU != 0 {
        // Every CPU's list has the same number of entries (`htab_map_alloc`).
        let up = def.max_entries.checked_next_multiple_of(cpus);
        def.max_entries = up.unwrap_or(def.max_entries / cpus * cpus);
    }
}

/// The declared size, made what the kernel expects, as libbpf does: a perf array without one holds
/// an entry for each CPU, and a ring buffer is rounded up.
fn entries(map: &Declared, cpus: u32) -> u32 {
    match map.kind {
        kind::PERF_EVENT_ARRAY if map.max_entries == 0 => cpus,
        kind::RINGBUF => {
            map.max_entries.max(PAGE_BYTES).checked_next_power_of_two().unwrap_or(map.max_entries)
        }
        _ => map.max_entries,
    }
}

/// `map_create`: the kind's table for a definition that the kernel would take.
fn table(
    def: &mut MapDef,
    fields: Fields,
    inner: Option<MapDef>,
    extra: u64,
    cpus: u32,
) -> Result<Box<dyn Table>, Errno> {
    limits::check(def, extra)?;
    settle(def, cpus);
    let of_maps = matches!(def.kind, kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS);
    match &inner {
        // `bpf_map_meta_alloc`: no template, a map of maps, a kind that has no `map_meta_equal`.
        None if of_maps => return Err(Errno::EBADF),
        Some(inner) if matches!(inner.kind, kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS) => {
            return Err(Errno::EINVAL);
        }
        Some(inner) if inner.kind == kind::PROG_ARRAY => return Err(Errno::ENOTSUPP),
        _ => {}
    }
    Ok(match def.kind {
        kind::ARRAY | kind::PERCPU_ARRAY => Box::new(Array::new(def, fields, cpus)?),
        kind::PROG_ARRAY | kind::ARRAY_OF_MAPS => Box::new(SlotArray::new(def, inner)?),
        kind::PERF_EVENT_ARRAY => Box::new(Events::new(def)?),
        kind::LPM_TRIE => Box::new(Lpm::new(def)?),
        kind::QUEUE | kind::STACK => Box::new(Queue::new(def)?),
        kind::DEVMAP | kind::DEVMAP_HASH => Box::new(Devmap::new(def)?),
        kind::CPUMAP => Box::new(Cpumap::new(def)?),
        kind::XSKMAP => Box::new(Xskmap::new(def)?),
        kind::RINGBUF => Box::new(Ringbuf::new(def)?),
        kind::BLOOM_FILTER => Box::new(Bloom::new(def, extra)?),
        _ => Box::new(Hash::new(def, fields, inner, cpus)?),
    })
}

fn refused(map: &Declared, errno: Errno) -> Gap {
    let mut gap = match Uses::of(map.kind) {
        Uses::NONE => Gap::new(
            "missing-map-type",
            format!(
                "the program needs a map of type {}, which this engine lacks here",
                names::map_type(map.kind)
            ),
        ),
        _ => {
            Gap::new("map-refused", format!("BPF_MAP_CREATE map {}: {errno} ({errno:?})", map.name))
        }
    };
    gap.map = Some(map.name.clone());
    gap
}

/// Writes the map's first contents, then freezes constants.
fn fill(maps: &mut Maps, module: &Module, id: MapId, given: Option<&Entries>) -> Result<(), Gap> {
    let map = module.map(id);
    let mut entries = Entries::new();
    if map.data.iter().any(|&byte| byte != 0) {
        entries.push((0_u32.to_ne_bytes().to_vec(), map.data.clone()));
    }
    for slot in &map.initial {
        let value = match slot.value {
            Target::Map(inner) => Some(inner.0),
            Target::FunctionAddress(function) => {
                let programs = module.programs.iter();
                programs.clone().position(|p| p.function == function).map(|index| index as u32)
            }
            _ => None,
        };
        if let Some(index) = value {
            let value = (index + 1).to_ne_bytes().to_vec();
            entries.push((slot.slot.to_ne_bytes().to_vec(), value));
        }
    }
    let failed = |errno: Errno| {
        let message = format!("BPF_MAP_UPDATE_ELEM map {}: {errno} ({errno:?})", map.name);
        let mut gap = Gap::new("map-refused", message);
        gap.map = Some(map.name.clone());
        gap
    };
    for (key, value) in entries.iter().chain(given.into_iter().flatten()) {
        maps.user().update(id, key, value, 0).map_err(failed)?;
    }
    if matches!(map.section, Some(DataSection::Rodata | DataSection::Kconfig)) {
        maps.user().freeze(id).map_err(failed)?;
    }
    Ok(())
}
