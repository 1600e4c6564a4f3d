// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Nothing at all: what a run costs before it does anything.
 */
#include "tc.h"

SEC("tc")
int tc_bare_nothing(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
