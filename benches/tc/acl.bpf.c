// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * An access list: IPv4 TCP and UDP frames are looked up by their exact 5-tuple. A rule says drop
 * or pass and counts its hits with an atomic add; what no rule names is passed.
 */
#include "tc.h"

struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 zero[3];
};

struct rule {
	__u64 hits;
	__u32 drop;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, struct rule);
	__uint(max_entries, 65536);
} rules SEC(".maps");

SEC("tc")
int tc_acl(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	struct ipv4 *ip = (void *)(eth + 1);
	struct ports *ports = (void *)(ip + 1);
	void *end = packet_end(skb);
	struct flow flow = {};
	struct rule *rule;

	if ((void *)(ports + 1) > end)
		return TC_ACT_UNSPEC;
	/* Version 4 and no IP options: a header with options is not where the ports are looked for. */
	if (eth->protocol != be16(ETH_P_IP) || ip->version_ihl != 0x45)
		return TC_ACT_UNSPEC;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;

	flow.source = ip->source;
	flow.destination = ip->destination;
	flow.source_port = ports->source;
	flow.destination_port = ports->destination;
	flow.protocol = ip->protocol;
	rule = bpf_map_lookup_elem(&rules, &flow);
	if (!rule)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&rule->hits, 1);
	return rule->drop ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
