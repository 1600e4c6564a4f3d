// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Counts packets and bytes by IP protocol number in a per-CPU array, so that no two CPUs write
 * the same cache line. Entry 255 (reserved) counts what is neither IPv4 nor IPv6.
 */
#include "tc.h"

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct counter);
	__uint(max_entries, 256);
} protocols SEC(".maps");

SEC("tc")
int tc_count_proto(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	void *end = packet_end(skb);
	struct counter *counter;
	__u32 protocol = 255;

	if ((void *)(eth + 1) > end)
		return TC_ACT_UNSPEC;
	if (eth->protocol == be16(ETH_P_IP)) {
		struct ipv4 *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) <= end)
			protocol = ip->protocol;
	} else if (eth->protocol == be16(ETH_P_IPV6)) {
		struct ipv6 *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) <= end)
			protocol = ip->next_header;
	}
	counter = bpf_map_lookup_elem(&protocols, &protocol);
	if (counter) {
		counter->packets++;
		counter->bytes += skb->len;
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
