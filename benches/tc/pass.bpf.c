// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Passes every frame to the stack. On a veth it is also what the peer needs for XDP_TX to work.
 */
#include "tc.h"

SEC("tc")
int tc_pass(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
