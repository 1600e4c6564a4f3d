// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of vlan_push.bpf.c needs: two empty tags, of which
 * the first makes room in the data, and one taken out when the program has filled it in, which lets
 * the kernel find the new tag.
 */
#include "tc.h"

SEC("tc")
int tc_bare_vlan_push(struct __sk_buff *skb)
{
	struct ethernet *eth;

	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	eth = packet(skb);
	if ((void *)(eth + 1) + sizeof(__be16) > packet_end(skb))
		return TC_ACT_SHOT;
	*(__be16 *)(eth + 1) = be16(7);
	bpf_skb_vlan_pop(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
