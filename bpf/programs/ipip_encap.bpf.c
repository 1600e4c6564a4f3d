// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Wraps every IPv4 frame in an outer IPv4 header (RFC 2003) and passes it on; the tunnel's ends
 * are configuration, set before loading.
 */
#include "hoist.h"

/* 192.0.2.1 to 192.0.2.2, in network order as they stand in the header. */
const volatile __be32 tunnel_source = be32(0xc0000201);
const volatile __be32 tunnel_destination = be32(0xc0000202);

/* RFC 1071 over a header of ten 16-bit words. */
static __inline __u16 header_checksum(const __u16 *word)
{
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

SEC("xdp")
int xdp_ipip_encap(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct ipv4 *inner = (void *)(eth + 1);
	struct ipv4 outer = { .version_ihl = 0x45, .ttl = 64, .protocol = IPPROTO_IPIP };
	struct ethernet copy;

	if ((void *)(inner + 1) > frame_end(ctx) || eth->protocol != be16(ETH_P_IP))
		return XDP_PASS;
	outer.tos = inner->tos;
	outer.length = be16((__u16)(be16(inner->length) + sizeof(outer)));
	outer.source = tunnel_source;
	outer.destination = tunnel_destination;
	outer.checksum = header_checksum((const __u16 *)&outer);
	copy = *eth;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(outer)))
		return XDP_DROP;
	eth = frame(ctx);
	if ((void *)(eth + 1) + sizeof(outer) > frame_end(ctx))
		return XDP_DROP;
	*eth = copy;
	*(struct ipv4 *)(eth + 1) = outer;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
