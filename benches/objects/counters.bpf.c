// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Four array lookups: counts frames by length, destination, protocol and altogether. For benchmarks.
 */
#include "hoist.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1024);
} counts SEC(".maps");

static __inline void count(__u32 index)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &index);

	if (value)
		(*value)++;
}

SEC("xdp")
int counters(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	void *end = frame_end(ctx);

	if ((void *)(eth + 1) > end)
		return XDP_ABORTED;
	count(0);
	count(1 + ((end - frame(ctx)) & 0xff));
	count(257 + eth->destination[5]);
	count(513 + (eth->protocol & 0xff));
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
