// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame out of the interface that a map holds for the receive queue it came in on; a
 * queue without an entry passes its frames to the stack. TC programs cannot redirect through a
 * devmap: the map holds the index of an interface.
 */
#include "tc.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 64);
} ports SEC(".maps");

SEC("tc")
int tc_redirect_devmap(struct __sk_buff *skb)
{
	/* Recorded receive queues count from 1; 0 is a frame without one. */
	__u32 queue = skb->queue_mapping ? skb->queue_mapping - 1 : 0;
	__u32 *ifindex = bpf_map_lookup_elem(&ports, &queue);

	if (!ifindex || !*ifindex)
		return TC_ACT_UNSPEC;
	return bpf_redirect(*ifindex, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
