// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of ipip_encap.bpf.c needs: room for the header.
 */
#include "tc.h"

SEC("tc")
int tc_bare_ipip_encap(struct __sk_buff *skb)
{
	bpf_skb_adjust_room(skb, sizeof(struct ipv4), BPF_ADJ_ROOM_MAC,
			    BPF_F_ADJ_ROOM_FIXED_GSO);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
