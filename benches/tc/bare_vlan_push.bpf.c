// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of vlan_push.bpf.c needs: room for the tag, and
 * the VLAN calls that make the kernel read the frame's new protocol.
 */
#include "tc.h"

SEC("tc")
int tc_bare_vlan_push(struct __sk_buff *skb)
{
	struct ethernet *eth;

	bpf_skb_adjust_room(skb, sizeof(struct vlan_tag), BPF_ADJ_ROOM_MAC,
			    BPF_F_ADJ_ROOM_FIXED_GSO);
	eth = packet(skb);
	if ((void *)(eth + 1) + sizeof(struct vlan_tag) > packet_end(skb))
		return TC_ACT_SHOT;
	/* The pops below look at what stands in the data. */
	*(__be16 *)(eth + 1) = be16(7);
	*((__be16 *)(eth + 1) + 1) = eth->protocol;
	eth->protocol = be16(ETH_P_8021Q);
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	bpf_skb_vlan_pop(skb);
	bpf_skb_vlan_pop(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
