//! Creating maps and giving them their first contents.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::kernel::loader::{Binding, Commit, LoadError, LoadSpec, MMAPABLE};
use crate::kernel::{Entries, Kernel, KernelError, MapInfo, MapSpec};
use crate::module::{DataSection, Map, MapId, Target};
use crate::names::is_per_cpu;

const PERF_EVENT_ARRAY: u32 = 4;
const ARRAY_OF_MAPS: u32 = 12;
const HASH_OF_MAPS: u32 = 13;
const DEVMAP: u32 = 14;
const DEVMAP_HASH: u32 = 25;
const RINGBUF: u32 = 27;
const USER_RINGBUF: u32 = 31;
/// `BPF_F_RDONLY_PROG`, which the kernel adds to devmaps on its own.
const RDONLY_PROG: u32 = 1 << 7;
/// Ring buffers are whole pages and a power of two.
const PAGE_BYTES: u32 = 4096;
/// `-EPERM`: another attempt without BTF would only fail again.
const EPERM: i32 = 1;
/// What the kernel answers to a map of no entries.
const EINVAL: i32 = 22;

/// Maps, new or found pinned.
#[derive(Debug)]
pub(super) struct Created {
    pub(super) fds: BTreeMap<MapId, Arc<OwnedFd>>,
    /// Those that were found pinned.
    pub(super) reused: Vec<MapId>,
    /// What must wait until the program is attached.
    pub(super) commits: Vec<Commit>,
}

/// Creates the maps in `wanted`, writes what they start with, and freezes constants.
pub(super) fn create(
    kernel: &dyn Kernel,
    spec: &LoadSpec<'_>,
    wanted: &BTreeSet<MapId>,
    btf: Option<BorrowedFd<'_>>,
) -> Result<Created, LoadError> {
    let module = spec.module;
    let mut created = Created { fds: BTreeMap::new(), reused: Vec::new(), commits: Vec::new() };
    // A map of maps may take its template from a map it starts with, so these come last.
    let (outer, plain): (Vec<MapId>, Vec<MapId>) =
        wanted.iter().copied().partition(|&id| holds_maps(module.map(id).kind));
    for id in plain.into_iter().chain(outer) {
        created.obtain(kernel, spec, id, btf)?;
    }
    for &id in wanted {
        created.fill(kernel, spec, id)?;
    }
    Ok(created)
}

impl Created {
    /// Opens the map's pin, or creates the map.
    fn obtain(
        &mut self,
        kernel: &dyn Kernel,
        spec: &LoadSpec<'_>,
        id: MapId,
        btf: Option<BorrowedFd<'_>>,
    ) -> Result<(), LoadError> {
        let map = spec.module.map(id);
        let failed = |e: KernelError| LoadError::map(&map.name, e);
        let entries = max_entries(kernel, map).map_err(failed)?;
        if let (true, Some(root)) = (map.pin_by_name, spec.pin_root) {
            let path = root.join(pin_name(&map.name));
            if let Some(fd) = kernel.get_pinned(&path).map_err(failed)? {
                let info = kernel.map_info(fd.as_fd()).map_err(failed)?;
                if let Some(difference) = difference(&info, map, entries, card(spec, map)) {
                    return Err(LoadError::PinIncompatible {
                        map: map.name.clone(),
                        path,
                        difference,
                    });
                }
                self.fds.insert(id, Arc::new(fd));
                self.reused.push(id);
                return Ok(());
            }
            self.commits.push(Commit::Pin { map: id, name: map.name.clone(), path });
        }
        let template = match &map.inner {
            Some(inner) => Some(
                max_entries(kernel, inner)
                    .and_then(|entries| create_map(kernel, inner, entries, None, btf, None))
                    .map_err(failed)?,
            ),
            None => None,
        };
        let first = map.initial.iter().find_map(|slot| match slot.value {
            Target::Map(inner) => self.fds.get(&inner),
            _ => None,
        });
        let inner = template.as_ref().or(first.map(Arc::as_ref)).map(AsFd::as_fd);
        let fd =
            create_map(kernel, map, entries, inner, btf, card(spec, map)).map_err(|error| {
                if entries == 0 && error.errno == EINVAL {
                    LoadError::NoSize { map: map.name.clone() }
                } else {
                    failed(error)
                }
            })?;
        self.fds.insert(id, Arc::new(fd));
        Ok(())
    }

    /// Writes the map's first contents: the data section, initial slots, the caller's entries.
    fn fill(
        &mut self,
        kernel: &dyn Kernel,
        spec: &LoadSpec<'_>,
        id: MapId,
    ) -> Result<(), LoadError> {
        let map = spec.module.map(id);
        let fd = &self.fds[&id];
        let mut entries = Entries::new();
        if map.data.iter().any(|&b| b != 0) {
            entries.push((0u32.to_ne_bytes().to_vec(), map.data.clone()));
        }
        for slot in &map.initial {
            if let Target::Map(inner) = slot.value {
                let value = self.fds[&inner].as_raw_fd().to_ne_bytes().to_vec();
                entries.push((slot.slot.to_ne_bytes().to_vec(), value));
            }
        }
        if let Some(given) = spec.contents.get(&id) {
            check_sizes(kernel, map, given)?;
            entries.extend(given.iter().cloned());
        }
        if self.reused.contains(&id) {
            if !entries.is_empty() {
                self.commits.push(Commit::Write { map: id, name: map.name.clone(), entries });
            }
            return Ok(());
        }
        write(kernel, &map.name, fd.as_fd(), &entries)?;
        if matches!(map.section, Some(DataSection::Rodata | DataSection::Kconfig)) {
            kernel.map_freeze(fd.as_fd()).map_err(|e| LoadError::map(&map.name, e))?;
        }
        Ok(())
    }
}

/// Writes entries in order, inserting or replacing.
pub(super) fn write(
    kernel: &dyn Kernel,
    name: &str,
    map: BorrowedFd<'_>,
    entries: &Entries,
) -> Result<(), LoadError> {
    for (key, value) in entries {
        kernel.map_update(map, key, value, 0).map_err(|e| LoadError::map(name, e))?;
    }
    Ok(())
}

fn create_map(
    kernel: &dyn Kernel,
    map: &Map,
    max_entries: u32,
    inner: Option<BorrowedFd<'_>>,
    btf: Option<BorrowedFd<'_>>,
    card: Option<u32>,
) -> Result<OwnedFd, KernelError> {
    // The kernel answers ENOTSUPP to types of a map in a NIC (`map_check_no_btf`).
    let types = btf
        .filter(|_| card.is_none())
        .filter(|_| map.key_type_id.is_some() || map.value_type_id.is_some())
        .map(|fd| (fd, map.key_type_id.unwrap_or(0), map.value_type_id.unwrap_or(0)));
    let mut spec = MapSpec {
        name: object_name(&map.name),
        kind: map.kind,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries,
        // A loader's wish about its own way of writing constants, not the program's.
        flags: if card.is_some() { map.flags & !MMAPABLE } else { map.flags },
        extra: map.extra,
        numa_node: map.numa_node,
        inner,
        btf: types,
        ifindex: card.unwrap_or(0),
    };
    match kernel.create_map(&spec) {
        // Many map types take no BTF at all, which ones depends on the kernel.
        Err(error) if spec.btf.is_some() && error.errno != EPERM => {
            spec.btf = None;
            kernel.create_map(&spec)
        }
        done => done,
    }
}

/// The interface whose NIC the map is to be in.
const fn card(spec: &LoadSpec<'_>, map: &Map) -> Option<u32> {
    match spec.binding {
        Some(Binding::Offload(ifindex)) if map.kind != PERF_EVENT_ARRAY => Some(ifindex),
        _ => None,
    }
}

const fn holds_maps(kind: u32) -> bool {
    matches!(kind, ARRAY_OF_MAPS | HASH_OF_MAPS)
}

/// The declared size, made what the kernel expects: a perf array without one holds an entry for each
/// CPU, and a ring buffer is rounded up.
fn max_entries(kernel: &dyn Kernel, map: &Map) -> Result<u32, KernelError> {
    Ok(match map.kind {
        PERF_EVENT_ARRAY if map.max_entries == 0 => {
            u32::try_from(kernel.possible_cpus()?).unwrap_or(u32::MAX)
        }
        RINGBUF | USER_RINGBUF => {
            map.max_entries.max(PAGE_BYTES).checked_next_power_of_two().unwrap_or(map.max_entries)
        }
        _ => map.max_entries,
    })
}

fn check_sizes(kernel: &dyn Kernel, map: &Map, entries: &Entries) -> Result<(), LoadError> {
    let value_bytes = if is_per_cpu(map.kind) {
        let cpus = kernel.possible_cpus().map_err(|e| LoadError::map(&map.name, e))?;
        (map.value_size as usize).next_multiple_of(8) * cpus
    } else {
        map.value_size as usize
    };
    let wrong =
        entries.iter().find(|(k, v)| k.len() != map.key_size as usize || v.len() != value_bytes);
    match wrong {
        None => Ok(()),
        Some((key, value)) => Err(LoadError::Invalid {
            what: format!(
                "map {} takes keys of {} and values of {value_bytes} bytes, not {} and {}",
                map.name,
                map.key_size,
                key.len(),
                value.len()
            ),
        }),
    }
}

/// The first respect in which a pinned map is not the one the object declares.
fn difference(pinned: &MapInfo, map: &Map, max_entries: u32, card: Option<u32>) -> Option<String> {
    // Ports of one NIC share its maps; whether it is the same NIC is for the kernel to say.
    match (pinned.ifindex != 0, card.is_some()) {
        (true, false) => {
            return Some("it is in a NIC, and the program runs on the host".to_owned());
        }
        (false, true) => {
            return Some("it is on the host, and the program runs in a NIC".to_owned());
        }
        _ => {}
    }
    let mut flags = pinned.flags;
    if matches!(map.kind, DEVMAP | DEVMAP_HASH) {
        flags = flags & !RDONLY_PROG | map.flags & RDONLY_PROG;
    }
    [
        ("type", pinned.kind, map.kind),
        ("key size", pinned.key_size, map.key_size),
        ("value size", pinned.value_size, map.value_size),
        ("max entries", pinned.max_entries, max_entries),
        ("flags", flags, map.flags),
    ]
    .into_iter()
    .find(|(_, there, here)| there != here)
    .map(|(what, there, here)| match what {
        "type" => format!(
            "its type is {}, the object declares {}",
            crate::names::map_type(there),
            crate::names::map_type(here)
        ),
        _ => format!("its {what} is {there}, the object declares {here}"),
    })
}

/// A name the kernel takes: letters, digits, `_` and `.` (`bpf_obj_name_cpy`).
pub(super) fn object_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// The file name of a map's pin. Names on a bpffs may not contain a dot, so `.rodata` becomes
/// `_rodata`, as with libbpf.
#[must_use]
pub fn pin_name(map: &str) -> String {
    map.replace(['.', '/'], "_")
}
