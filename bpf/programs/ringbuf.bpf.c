// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Reports every frame to user space through a ring buffer: when it has no room, frames are passed
 * and counted as lost.
 */
#include "hoist.h"

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

SEC("xdp")
int xdp_ringbuf(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct event *event;

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_PASS;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return XDP_PASS;
	}
	event->ifindex = ctx->ingress_ifindex;
	event->queue = ctx->rx_queue_index;
	event->length = ctx->data_end - ctx->data;
	event->protocol = eth->protocol;
	event->zero = 0;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
