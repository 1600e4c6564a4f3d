//! Fields of a value that belong to the kernel (`struct btf_record`): locks, timers and the like.
//! Copies in and out leave them alone; user space reads zeroes in their place.

use std::ops::Range;

use hoist_bpf::btf::Btf;

/// Nested structs that are looked into (`BTF_FIELDS_MAX` and the kernel's own depth are less).
const MAX_DEPTH: u32 = 16;
/// `BTF_FIELDS_MAX`: more fields than these, and the kernel refuses the map.
const MAX_FIELDS: usize = 11;
/// Structures that are such fields.
const NAMES: [&str; 9] = [
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_rb_root",
    "bpf_refcount",
    "bpf_rb_node",
];

/// The kernel's fields of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Byte offset of the `struct bpf_spin_lock`.
    pub(super) lock: Option<u32>,
    /// All of them, in order.
    ranges: Vec<Range<usize>>,
}

impl Fields {
    /// The fields of a value of this type (`btf_parse_fields`); those beyond the value do not count.
    pub(super) fn of(btf: &Btf, type_id: u32, value_size: u32) -> Self {
        let mut fields = Self::default();
        fields.collect(btf, type_id, 0, MAX_DEPTH);
        fields.ranges.retain(|range| range.end <= value_size as usize);
        fields.ranges.sort_by_key(|range| range.start);
        let in_value = |lock: &u32| fields.ranges.iter().any(|r| r.start == *lock as usize);
        fields.lock = fields.lock.filter(in_value);
        fields
    }

    fn collect(&mut self, btf: &Btf, type_id: u32, at: u32, depth: u32) {
        let (Some(inner), Some(depth)) = (btf.strip(type_id), depth.checked_sub(1)) else { return };
        if inner.kind() != hoist_bpf::btf::Kind::Struct || self.ranges.len() > MAX_FIELDS {
            return;
        }
        if NAMES.contains(&inner.name()) {
            let Some(end) = at.checked_add(inner.size_or_type()) else { return };
            if inner.name() == "bpf_spin_lock" {
                self.lock = Some(at);
            }
            self.ranges.push(at as usize..end as usize);
            return;
        }
        for member in inner.members() {
            if let Some(at) = at.checked_add(member.bit_offset / 8) {
                self.collect(btf, member.type_id, at, depth);
            }
        }
    }

    /// Whether there is any.
    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// `copy_map_value`: everything but these fields. Both slices have the value's size.
    #[inline]
    pub(super) fn copy(&self, to: &mut [u8], from: &[u8]) {
        if self.ranges.is_empty() {
            to.copy_from_slice(from);
            return;
        }
        let mut at = 0;
        for range in &self.ranges {
            to[at..range.start].copy_from_slice(&from[at..range.start]);
            at = range.end;
        }
        to[at..].copy_from_slice(&from[at..]);
    }

    /// `copy_map_value_long`: as [`Fields::copy`], and the padding of per-CPU values too where there
    /// are no fields.
    pub(super) fn copy_padded(&self, to: &mut [u8], from: &[u8], value_bytes: usize) {
        if self.ranges.is_empty() {
            to.copy_from_slice(from);
        } else {
            self.copy(&mut to[..value_bytes], &from[..value_bytes]);
        }
    }

    /// `check_and_init_map_value`: zeroes in place of these fields.
    #[inline]
    pub(super) fn clear(&self, value: &mut [u8]) {
        for range in &self.ranges {
            value[range.clone()].fill(0);
        }
    }
}
