// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Three programs chained by a program array that is filled when the object is loaded: IPv4 frames
 * go to one, IPv6 frames to another, and what neither takes is passed by the first.
 */
#include "hoist.h"

enum { SLOT_IPV4, SLOT_IPV6, SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, SLOTS);
} seen SEC(".maps");

static __inline void count(__u32 slot)
{
	__u64 *packets = bpf_map_lookup_elem(&seen, &slot);

	if (packets)
		(*packets)++;
}

SEC("xdp")
int xdp_ipv4(struct xdp_md *ctx)
{
	count(SLOT_IPV4);
	return XDP_PASS;
}

SEC("xdp")
int xdp_ipv6(struct xdp_md *ctx)
{
	count(SLOT_IPV6);
	return XDP_DROP;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__uint(max_entries, SLOTS);
	__array(values, int(struct xdp_md *));
} next SEC(".maps") = {
	.values = {
		[SLOT_IPV4] = &xdp_ipv4,
		[SLOT_IPV6] = &xdp_ipv6,
	},
};

SEC("xdp")
int xdp_tail_call(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_PASS;
	if (eth->protocol == be16(ETH_P_IP))
		bpf_tail_call(ctx, &next, SLOT_IPV4);
	else if (eth->protocol == be16(ETH_P_IPV6))
		bpf_tail_call(ctx, &next, SLOT_IPV6);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
