// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame out of the interface whose index stands in a map; 0 passes it to the stack.
 */
#include "tc.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} target SEC(".maps");

SEC("tc")
int tc_redirect(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u32 *ifindex = bpf_map_lookup_elem(&target, &zero);

	if (!ifindex || !*ifindex)
		return TC_ACT_UNSPEC;
	return bpf_redirect(*ifindex, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
