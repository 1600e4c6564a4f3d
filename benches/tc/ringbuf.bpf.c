// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Reports every frame to user space through a ring buffer: when it has no room, frames are passed
 * and counted as lost.
 */
#include "tc.h"

struct event {
	__u32 ifindex;
	__u32 queue;
	__u32 length;
	__be16 protocol;
	__u16 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

__u64 lost;

SEC("tc")
int tc_ringbuf(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	struct event *event;

	if ((void *)(eth + 1) > packet_end(skb))
		return TC_ACT_UNSPEC;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return TC_ACT_UNSPEC;
	}
	event->ifindex = skb->ifindex;
	event->queue = skb->queue_mapping ? skb->queue_mapping - 1 : 0;
	event->length = skb->len;
	event->protocol = eth->protocol;
	event->zero = 0;
	bpf_ringbuf_submit(event, 0);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
