// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Writes down what its context says, read through a pointer that went over the stack and two calls.
 */
#include "suite.h"

struct seen {
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 linear;
	__u32 whole;
	__u32 first;
	__u32 last;
};

RESULT(struct seen);

struct parcel {
	__u64 before;
	struct xdp_md *ctx;
};

static __noinline int fields(struct parcel *parcel, struct seen *seen)
{
	seen->ingress_ifindex = parcel->ctx->ingress_ifindex;
	seen->rx_queue_index = parcel->ctx->rx_queue_index;
	seen->whole = bpf_xdp_get_buff_len(parcel->ctx);
	return XDP_PASS;
}

static __noinline int write_down(struct parcel *parcel, struct seen *seen)
{
	__u8 *start = frame(parcel->ctx);
	__u8 *end = frame_end(parcel->ctx);

	seen->linear = end - start;
	if (start + 1 <= end)
		seen->first = *start;
	if (start + 14 <= end)
		seen->last = start[13];
	return fields(parcel, seen);
}

SEC("xdp.frags")
int xdp_context(struct xdp_md *ctx)
{
	struct parcel parcel = { .ctx = ctx };
	struct seen *seen = only(&result);

	return seen ? write_down(&parcel, seen) : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
