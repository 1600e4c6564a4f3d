// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of ipip_decap.bpf.c needs: the header taken out.
 */
#include "tc.h"

SEC("tc")
int tc_bare_ipip_decap(struct __sk_buff *skb)
{
	bpf_skb_adjust_room(skb, -(int)sizeof(struct ipv4), BPF_ADJ_ROOM_MAC,
			    BPF_F_ADJ_ROOM_FIXED_GSO);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
