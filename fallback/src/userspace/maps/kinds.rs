//! Which helpers go with which kinds of map.

use super::flags::kind;

/// What programs do to maps, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uses(u16);

impl Uses {
    /// Nothing: a kind that is not here.
    pub(super) const NONE: Self = Self(0);
    /// `bpf_map_lookup_elem`.
    pub(super) const LOOKUP: Self = Self(1 << 0);
    /// `bpf_map_update_elem`, `bpf_map_delete_elem`.
    pub(super) const CHANGE: Self = Self(1 << 1);
    /// `bpf_map_lookup_percpu_elem`.
    pub(super) const LOOKUP_PERCPU: Self = Self(1 << 2);
    /// `bpf_for_each_map_elem`.
    pub(super) const WALK: Self = Self(1 << 3);
    /// `bpf_map_push_elem`.
    pub(super) const PUSH: Self = Self(1 << 4);
    /// `bpf_map_peek_elem`.
    pub(super) const PEEK: Self = Self(1 << 5);
    /// `bpf_map_pop_elem`.
    pub(super) const POP: Self = Self(1 << 6);
    /// `bpf_redirect_map`.
    pub(super) const REDIRECT: Self = Self(1 << 7);
    /// `bpf_tail_call`.
    pub(super) const TAIL_CALL: Self = Self(1 << 8);
    /// `bpf_perf_event_output`.
    pub(super) const EVENTS: Self = Self(1 << 9);
    /// `bpf_ringbuf_*`.
    pub(super) const RECORDS: Self = Self(1 << 10);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) const fn contain(self, use_: Self) -> bool {
        self.0 & use_.0 == use_.0
    }

    /// What goes with a kind (`check_map_func_compatibility` of the verifier, and the kinds whose
    /// operations have a `map_for_each_callback`).
    pub(super) const fn of(kind: u32) -> Self {
        match kind {
            kind::HASH | kind::ARRAY | kind::LRU_HASH => {
                Self::LOOKUP.and(Self::CHANGE).and(Self::WALK)
            }
            kind::PERCPU_HASH | kind::PERCPU_ARRAY | kind::LRU_PERCPU_HASH => {
                Self::LOOKUP.and(Self::CHANGE).and(Self::WALK).and(Self::LOOKUP_PERCPU)
            }
            kind::LPM_TRIE => Self::LOOKUP.and(Self::CHANGE),
            kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS => Self::LOOKUP,
            kind::DEVMAP | kind::DEVMAP_HASH | kind::XSKMAP => Self::LOOKUP.and(Self::REDIRECT),
            kind::CPUMAP => Self::REDIRECT,
            kind::QUEUE | kind::STACK => Self::PUSH.and(Self::PEEK).and(Self::POP),
            kind::BLOOM_FILTER => Self::PUSH.and(Self::PEEK),
            kind::PROG_ARRAY => Self::TAIL_CALL,
            kind::PERF_EVENT_ARRAY => Self::EVENTS,
            kind::RINGBUF => Self::RECORDS,
            _ => Self::NONE,
        }
    }
}
