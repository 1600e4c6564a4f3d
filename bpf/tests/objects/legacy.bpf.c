/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The older way of declaring maps, which libbpf 1.x no longer reads. */
#include "object.h"

struct bpf_map_def {
	__u32 type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") packets = { 2, 4, 8, 16, 0 };
struct bpf_map_def SEC("maps") flows = { 9, 12, 4, 1024, 2 };

/* The kernel samples' longer struct, and aya's, which is as long. */
struct samples_map_def {
	__u32 type, key_size, value_size, max_entries, map_flags, inner_map_idx, numa_node;
};
struct samples_map_def SEC("maps/samples") on_node = { 1, 4, 4, 8, 4, 0, 1 };

struct aya_map_def {
	__u32 type, key_size, value_size, max_entries, map_flags, id, pinning;
};
struct aya_map_def SEC("maps/aya") pinned = { 1, 4, 4, 8, 0, 0, 1 };

/* What BPF_ANNOTATE_KV_PAIR expands to: the only way such a map can say its types. */
struct ____btf_map_packets {
	__u32 key;
	__u64 value;
};
struct ____btf_map_packets SEC(".maps.packets") ____btf_map_packets = {};

SEC("xdp_prog")
int old(struct xdp_md *ctx)
{
	__u32 key[3] = {};
	__u64 *count = map_lookup_elem(&packets, key);

	if (count)
		__sync_fetch_and_add(count, 1);
	map_update_elem(&flows, key, key, 0);
	return 2;
}

char _license[] SEC("license") = "GPL";
