// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that any program needs for a tagged frame, even if it only looks at
 * it: the tag put into the data, where XDP programs find it, by pushing an empty one on top; and both
 * taken out again, the frame's own into the buffer's description.
 */
#include "tc.h"

SEC("tc")
int tc_bare_tagged(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
	bpf_skb_vlan_pop(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
