// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Takes the outer header off IPv4-in-IPv4 frames (RFC 2003) and passes everything on. The kernel
 * keeps the Ethernet header in place.
 */
#include "tc.h"

SEC("tc")
int tc_ipip_decap(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	struct ipv4 *outer = (void *)(eth + 1);

	if ((void *)(outer + 2) > packet_end(skb) || eth->protocol != be16(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (outer->version_ihl != 0x45 || outer->protocol != IPPROTO_IPIP)
		return TC_ACT_UNSPEC;
	if (bpf_skb_adjust_room(skb, -(int)sizeof(*outer), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
