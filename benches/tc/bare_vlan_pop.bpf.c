// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of vlan_pop.bpf.c needs: the tag put into the
 * data, where XDP programs find it, by pushing an empty one on top; and both taken out and dropped.
 */
#include "tc.h"

SEC("tc")
int tc_bare_vlan_pop(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	bpf_skb_vlan_pop(skb);
	bpf_skb_vlan_pop(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
