// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing but the kernel helpers that a translation of tail_shrink.bpf.c needs: the cut.
 */
#include "tc.h"

SEC("tc")
int tc_bare_tail_shrink(struct __sk_buff *skb)
{
	bpf_skb_change_tail(skb, 64, 0);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
