// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Wraps every IPv4 frame in an outer IPv4 header (RFC 2003) and passes it on; the tunnel's ends
 * are configuration, set before loading.
 */
#include "tc.h"

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

SEC("tc")
int tc_ipip_encap(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	struct ipv4 *inner = (void *)(eth + 1);
	struct ipv4 outer = { .version_ihl = 0x45, .ttl = 64, .protocol = IPPROTO_IPIP };

	if ((void *)(inner + 1) > packet_end(skb) || eth->protocol != be16(ETH_P_IP))
		return TC_ACT_UNSPEC;
	outer.tos = inner->tos;
	outer.length = be16((__u16)(be16(inner->length) + sizeof(outer)));
	outer.source = tunnel_source;
	outer.destination = tunnel_destination;
	outer.checksum = header_checksum((const __u16 *)&outer);

	/* The kernel keeps the Ethernet header in place. */
	if (bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	eth = packet(skb);
	if ((void *)(eth + 1) + sizeof(outer) > packet_end(skb))
		return TC_ACT_SHOT;
	*(struct ipv4 *)(eth + 1) = outer;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
