// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Takes the outer 802.1Q tag off frames that have one and passes everything on. At TC the outer tag
 * is in the buffer's description, not in the data.
 */
#include "tc.h"

SEC("tc")
int tc_vlan_pop(struct __sk_buff *skb)
{
	if (!skb->vlan_present || skb->vlan_proto != be16(ETH_P_8021Q))
		return TC_ACT_UNSPEC;
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
