// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A parser with one hash lookup: UDP and TCP flows over IPv4 that are in the table are counted and
 * dropped, all else passes. For benchmarks.
 */
#include "hoist.h"

struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, __u64);
	__uint(max_entries, 1024);
} flows SEC(".maps");

SEC("xdp")
int hash_parser(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	void *end = frame_end(ctx);
	struct ipv4 *ip = (void *)(eth + 1);
	struct ports *ports = (void *)(ip + 1);
	struct flow flow;
	__u64 *packets;

	if ((void *)(ports + 1) > end || eth->protocol != be16(ETH_P_IP) || ip->version_ihl != 0x45)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP)
		return XDP_PASS;

	flow.source = ip->source;
	flow.destination = ip->destination;
	flow.source_port = ports->source;
	flow.destination_port = ports->destination;
	flow.protocol = ip->protocol;
	packets = bpf_map_lookup_elem(&flows, &flow);
	if (!packets)
		return XDP_PASS;
	(*packets)++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
