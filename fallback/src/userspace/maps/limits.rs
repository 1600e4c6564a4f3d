//! What the kernel takes when a map is made (`map_create` and the kinds' `map_alloc_check`,
//! `map_alloc`), with its errors.

use hoist_offload::attach::MapDef;

use super::Errno;
use super::flags::{create, kind};

/// Largest allocation (`KMALLOC_MAX_SIZE` with 4-KiB pages).
const KMALLOC_MAX: u64 = 4 << 20;
/// `sizeof(struct htab_elem)`.
const HTAB_ELEM: u64 = 48;
/// Largest per-CPU value (`PCPU_MIN_UNIT_SIZE`).
const PER_CPU_MAX: u64 = 32 << 10;
/// `NR_CPUS` of common builds.
const NR_CPUS: u32 = 8192;
/// Sizes of keys of tries: the number of bits and 1 to 256 bytes.
const LPM_KEYS: std::ops::RangeInclusive<u32> = 5..=260;
/// `sizeof(struct lpm_trie_node)`.
const LPM_NODE: u64 = 24;
const PAGE: u32 = 4096;

/// `BPF_F_ACCESS_MASK`.
const ACCESS: u32 = create::RDONLY | create::WRONLY | create::RDONLY_PROG | create::WRONLY_PROG;
const PROGRAM_ACCESS: u32 = create::RDONLY_PROG | create::WRONLY_PROG;

/// Whether the kernel would make the map. `extra` is its `map_extra`, `numa` whether it names a node.
pub(super) fn check(def: &MapDef, extra: u64) -> Result<(), Errno> {
    if extra != 0 && def.kind != kind::BLOOM_FILTER {
        return Err(Errno::EINVAL);
    }
    if def.flags & (create::RDONLY | create::WRONLY) == create::RDONLY | create::WRONLY {
        return Err(Errno::EINVAL);
    }
    match def.kind {
        kind::ARRAY | kind::PERCPU_ARRAY => array(def),
        kind::PROG_ARRAY | kind::PERF_EVENT_ARRAY | kind::ARRAY_OF_MAPS => references(def),
        kind::HASH
        | kind::PERCPU_HASH
        | kind::LRU_HASH
        | kind::LRU_PERCPU_HASH
        | kind::HASH_OF_MAPS => hash(def),
        kind::LPM_TRIE => lpm(def),
        kind::QUEUE | kind::STACK => queue(def),
        kind::DEVMAP | kind::DEVMAP_HASH => devmap(def),
        kind::CPUMAP => cpumap(def),
        kind::XSKMAP => xskmap(def),
        kind::RINGBUF => ringbuf(def),
        kind::BLOOM_FILTER => bloom(def, extra),
        _ => Err(Errno::EINVAL),
    }
}

/// `EINVAL` unless everything holds.
const fn valid(holds: bool) -> Result<(), Errno> {
    if holds { Ok(()) } else { Err(Errno::EINVAL) }
}

/// `bpf_map_flags_access_ok`, and no flags but these.
const fn flags(def: &MapDef, allowed: u32) -> bool {
    def.flags & !allowed == 0 && def.flags & PROGRAM_ACCESS != PROGRAM_ACCESS
}

/// `array_map_alloc_check`.
fn array(def: &MapDef) -> Result<(), Errno> {
    let own = create::MMAPABLE | create::PRESERVE_ELEMS | create::INNER_MAP;
    let numa = def.flags & create::NUMA_NODE != 0;
    valid(
        def.max_entries != 0
            && def.key_size == 4
            && def.value_size != 0
            && flags(def, ACCESS | create::NUMA_NODE | own)
            && !(def.kind == kind::PERCPU_ARRAY && numa)
            && (def.kind == kind::ARRAY || def.flags & (create::MMAPABLE | create::INNER_MAP) == 0)
            && (def.kind == kind::PERF_EVENT_ARRAY || def.flags & create::PRESERVE_ELEMS == 0),
    )?;
    let per_cpu = def.kind == kind::PERCPU_ARRAY && u64::from(def.value_size) > PER_CPU_MAX;
    if def.value_size > i32::MAX as u32 || per_cpu { Err(Errno::E2BIG) } else { Ok(()) }
}

/// `fd_array_map_alloc_check`.
fn references(def: &MapDef) -> Result<(), Errno> {
    valid(def.value_size == 4 && def.flags & PROGRAM_ACCESS == 0)?;
    array(def)
}

/// `htab_map_alloc_check`, `fd_htab_map_alloc_check`.
fn hash(def: &MapDef) -> Result<(), Errno> {
    let per_cpu = matches!(def.kind, kind::PERCPU_HASH | kind::LRU_PERCPU_HASH);
    let lru = matches!(def.kind, kind::LRU_HASH | kind::LRU_PERCPU_HASH);
    let own_lists = def.flags & create::NO_COMMON_LRU != 0;
    let own = create::NO_PREALLOC | create::NO_COMMON_LRU | create::NUMA_NODE | create::ZERO_SEED;
    valid(
        (def.kind != kind::HASH_OF_MAPS || def.value_size == 4)
            && flags(def, ACCESS | own)
            && (lru || !own_lists),
    )?;
    if lru && def.flags & create::NO_PREALLOC != 0 {
        return Err(Errno::ENOTSUPP);
    }
    let numa = def.flags & create::NUMA_NODE != 0;
    valid(
        !(numa && (per_cpu || own_lists))
            && def.max_entries != 0
            && def.key_size != 0
            && def.value_size != 0,
    )?;
    let (key, value) = (u64::from(def.key_size), u64::from(def.value_size));
    if key + value >= KMALLOC_MAX - HTAB_ELEM
        || (per_cpu && value.next_multiple_of(8) > PER_CPU_MAX)
        || def.max_entries > 1 << 31
    {
        return Err(Errno::E2BIG);
    }
    Ok(())
}

/// `trie_alloc`.
fn lpm(def: &MapDef) -> Result<(), Errno> {
    let most = KMALLOC_MAX - u64::from(LPM_KEYS.end() - 4) - LPM_NODE;
    valid(
        def.max_entries != 0
            && def.flags & create::NO_PREALLOC != 0
            && flags(def, ACCESS | create::NO_PREALLOC | create::NUMA_NODE)
            && LPM_KEYS.contains(&def.key_size)
            && def.value_size != 0
            && u64::from(def.value_size) <= most,
    )
}

/// `queue_stack_map_alloc_check`.
fn queue(def: &MapDef) -> Result<(), Errno> {
    valid(
        def.max_entries != 0
            && def.key_size == 0
            && def.value_size != 0
            && flags(def, ACCESS | create::NUMA_NODE),
    )?;
    if u64::from(def.value_size) > KMALLOC_MAX { Err(Errno::E2BIG) } else { Ok(()) }
}

/// `dev_map_alloc_check`.
fn devmap(def: &MapDef) -> Result<(), Errno> {
    valid(
        def.max_entries != 0
            && def.key_size == 4
            && matches!(def.value_size, 4 | 8)
            && flags(def, create::NUMA_NODE | create::RDONLY | create::WRONLY)
            && (def.kind == kind::DEVMAP || def.max_entries <= 1 << 31),
    )
}

/// `cpu_map_alloc`.
fn cpumap(def: &MapDef) -> Result<(), Errno> {
    valid(
        def.max_entries != 0
            && def.key_size == 4
            && matches!(def.value_size, 4 | 8)
            && flags(def, create::NUMA_NODE),
    )?;
    if def.max_entries > NR_CPUS { Err(Errno::E2BIG) } else { Ok(()) }
}

/// `xsk_map_alloc`.
fn xskmap(def: &MapDef) -> Result<(), Errno> {
    valid(
        def.max_entries != 0
            && def.key_size == 4
            && def.value_size == 4
            && flags(def, create::NUMA_NODE | create::RDONLY | create::WRONLY),
    )
}

/// `ringbuf_map_alloc`.
fn ringbuf(def: &MapDef) -> Result<(), Errno> {
    valid(
        flags(def, create::NUMA_NODE)
            && def.key_size == 0
            && def.value_size == 0
            && def.max_entries.is_power_of_two()
            && def.max_entries.is_multiple_of(PAGE),
    )
}

/// `bloom_map_alloc_check`, `bloom_map_alloc`.
fn bloom(def: &MapDef, extra: u64) -> Result<(), Errno> {
    if u64::from(def.value_size) > KMALLOC_MAX {
        return Err(Errno::E2BIG);
    }
    valid(
        def.max_entries != 0
            && def.key_size == 0
            && def.value_size != 0
            && flags(def, ACCESS | create::NUMA_NODE | create::ZERO_SEED)
            && extra & !0xf == 0,
    )
}
