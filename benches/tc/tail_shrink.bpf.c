// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Cuts frames down to at most `keep` bytes and passes them on: the snap length of a monitor.
 */
#include "tc.h"

const volatile __u32 keep = 64;

SEC("tc")
int tc_tail_shrink(struct __sk_buff *skb)
{
	if (skb->len > keep && bpf_skb_change_tail(skb, keep, 0))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
