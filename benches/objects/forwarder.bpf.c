// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A parser that forwards: IPv4 frames lose one hop, get their checksum corrected (RFC 1624) and
 * their addresses swapped, and leave where they came in. For benchmarks.
 */
#include "hoist.h"

SEC("xdp")
int forwarder(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	void *end = frame_end(ctx);
	struct ipv4 *ip = (void *)(eth + 1);
	__u8 address[6];
	__u32 sum;

	if ((void *)(eth + 1) > end)
		return XDP_ABORTED;
	if (eth->protocol != be16(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(ip + 1) > end || ip->version_ihl != 0x45)
		return XDP_DROP;
	if (ip->ttl <= 1)
		return XDP_PASS;

	sum = ip->checksum + be16(0x0100);
	ip->checksum = sum + (sum >= 0xffff);
	ip->ttl--;

	__builtin_memcpy(address, eth->source, sizeof(address));
	__builtin_memcpy(eth->source, eth->destination, sizeof(address));
	__builtin_memcpy(eth->destination, address, sizeof(address));
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
