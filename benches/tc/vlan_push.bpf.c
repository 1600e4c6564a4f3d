// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Puts an 802.1Q tag onto every frame and passes it on. The tag's VLAN id and priority are
 * configuration, set before loading.
 */
#include "tc.h"

const volatile __u16 vlan_id = 7;
const volatile __u8 priority = 0;

SEC("tc")
int tc_vlan_push(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), (vlan_id & 0xfff) | priority << 13))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
