// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Gives an untagged frame of a test run an 802.1Q tag where the kernel keeps it on its way to TC, in
 * the buffer's description, and goes on with the program in the array: test runs themselves leave
 * tags in the data.
 */
#include "tc.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} measured SEC(".maps");

SEC("tc")
int tc_setup_tagged(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 7);
	bpf_tail_call(skb, &measured, 0);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
