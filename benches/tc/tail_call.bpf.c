// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Three programs chained by a program array that is filled when the object is loaded: IPv4 frames
 * go to one, IPv6 frames to another, and what neither takes is passed by the first.
 */
#include "tc.h"

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

SEC("tc")
int tc_ipv4(struct __sk_buff *skb)
{
	count(SLOT_IPV4);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int tc_ipv6(struct __sk_buff *skb)
{
	count(SLOT_IPV6);
	return TC_ACT_SHOT;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__uint(max_entries, SLOTS);
	__array(values, int(struct __sk_buff *));
} next SEC(".maps") = {
	.values = {
		[SLOT_IPV4] = &tc_ipv4,
		[SLOT_IPV6] = &tc_ipv6,
	},
};

SEC("tc")
int tc_tail_call(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);

	if ((void *)(eth + 1) > packet_end(skb))
		return TC_ACT_UNSPEC;
	if (eth->protocol == be16(ETH_P_IP))
		bpf_tail_call(skb, &next, SLOT_IPV4);
	else if (eth->protocol == be16(ETH_P_IPV6))
		bpf_tail_call(skb, &next, SLOT_IPV6);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
