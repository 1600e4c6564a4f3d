// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Counts by ethertype in every common kind of map, and keeps lengths in a queue.
 */
#include "suite.h"

#define TABLE(name, kind)                                                                          \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__type(key, __be16);                                                               \
		__type(value, __u64);                                                              \
		__uint(max_entries, 64);                                                           \
	} name SEC(".maps")

TABLE(hash, BPF_MAP_TYPE_HASH);
TABLE(hash_per_cpu, BPF_MAP_TYPE_PERCPU_HASH);
TABLE(lru, BPF_MAP_TYPE_LRU_HASH);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(key_size, 0);
	__type(value, __u32);
	__uint(max_entries, 64);
} lengths SEC(".maps");

static __inline void count(void *map, __be16 *key)
{
	__u64 one = 1, *packets = bpf_map_lookup_elem(map, key);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(map, key, &one, 0);
}

SEC("xdp")
int xdp_tables(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	__u32 length = ctx->data_end - ctx->data;
	__be16 protocol;

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	protocol = eth->protocol;
	count(&hash, &protocol);
	count(&hash_per_cpu, &protocol);
	count(&lru, &protocol);
	bpf_map_push_elem(&lengths, &length, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
