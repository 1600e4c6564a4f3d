// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What xdp-trafficgen 1.6 does for each frame of `udp` that is like the one before: it counts in a
 * record of the processor and redirects. Written anew from its description, as a yardstick.
 */
#include "hoist.h"

struct record {
	__u64 processed;
	__u64 dropped;
	__u64 issue;
	__u64 pass;
	__u64 drop;
	__u64 redirect;
	__u64 unused[2];
} __attribute__((aligned(64)));

const volatile struct {
	__u32 ifindex;
} config;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

__helper __u32 (*bpf_get_smp_processor_id)(void) = (void *)8;

SEC("xdp")
int xdp_trafficgen(struct xdp_md *ctx)
{
	__u32 key = bpf_get_smp_processor_id();
	struct record *record = bpf_map_lookup_elem(&records, &key);

	if (!record)
		return XDP_ABORTED;
	*(volatile __u64 *)&record->redirect += 1;
	return bpf_redirect(config.ifindex, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
