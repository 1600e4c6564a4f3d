// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Drops every frame: the smallest program there is, and the floor of every benchmark.
 */
#include "tc.h"

SEC("tc")
int tc_drop(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
