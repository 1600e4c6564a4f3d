//! Numbers of `linux/bpf.h`.

/// `enum bpf_map_type`.
pub(super) mod kind {
    pub(crate) const HASH: u32 = 1;
    pub(crate) const ARRAY: u32 = 2;
    pub(crate) const PROG_ARRAY: u32 = 3;
    pub(crate) const PERF_EVENT_ARRAY: u32 = 4;
    pub(crate) const PERCPU_HASH: u32 = 5;
    pub(crate) const PERCPU_ARRAY: u32 = 6;
    pub(crate) const LRU_HASH: u32 = 9;
    pub(crate) const LRU_PERCPU_HASH: u32 = 10;
    pub(crate) const LPM_TRIE: u32 = 11;
    pub(crate) const ARRAY_OF_MAPS: u32 = 12;
    pub(crate) const HASH_OF_MAPS: u32 = 13;
    pub(crate) const DEVMAP: u32 = 14;
    pub(crate) const CPUMAP: u32 = 16;
    pub(crate) const XSKMAP: u32 = 17;
    pub(crate) const QUEUE: u32 = 22;
    pub(crate) const STACK: u32 = 23;
    pub(crate) const DEVMAP_HASH: u32 = 25;
    pub(crate) const RINGBUF: u32 = 27;
    pub(crate) const BLOOM_FILTER: u32 = 30;
}

/// `BPF_F_*` of `BPF_MAP_CREATE`.
pub(super) mod create {
    pub(crate) const NO_PREALLOC: u32 = 1 << 0;
    pub(crate) const NO_COMMON_LRU: u32 = 1 << 1;
    pub(crate) const NUMA_NODE: u32 = 1 << 2;
    pub(crate) const RDONLY: u32 = 1 << 3;
    pub(crate) const WRONLY: u32 = 1 << 4;
    pub(crate) const ZERO_SEED: u32 = 1 << 6;
    pub(crate) const RDONLY_PROG: u32 = 1 << 7;
    pub(crate) const WRONLY_PROG: u32 = 1 << 8;
    pub(crate) const MMAPABLE: u32 = 1 << 10;
    pub(crate) const PRESERVE_ELEMS: u32 = 1 << 11;
    pub(crate) const INNER_MAP: u32 = 1 << 12;
}

/// `BPF_ANY` and its likes, of `BPF_MAP_UPDATE_ELEM`.
pub(super) mod update {
    pub(crate) const ANY: u64 = 0;
    pub(crate) const NOEXIST: u64 = 1;
    pub(crate) const EXIST: u64 = 2;
    pub(crate) const LOCK: u64 = 4;
}
