// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A block list of IPv4 prefixes: the longest prefix that holds the source address decides; its
 * value is the verdict's complement, 1 to block and 0 to make an exception within a blocked prefix.
 */
#include "tc.h"

struct prefix {
	__u32 bits;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
	__uint(max_entries, 16384);
} blocked SEC(".maps");

SEC("tc")
int tc_lpm_block(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	struct ipv4 *ip = (void *)(eth + 1);
	struct prefix prefix = { .bits = 32 };
	__u32 *block;

	if ((void *)(ip + 1) > packet_end(skb) || eth->protocol != be16(ETH_P_IP))
		return TC_ACT_UNSPEC;
	prefix.address = ip->source;
	block = bpf_map_lookup_elem(&blocked, &prefix);
	return block && *block ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
