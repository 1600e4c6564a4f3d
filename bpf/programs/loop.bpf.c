// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sums the first bytes of a frame with bpf_loop: a callback runs once per byte, with a structure
 * on the caller's stack that carries the packet context. Frames whose sum is `unwanted` are dropped.
 */
#include "hoist.h"

#define BYTES 64

const volatile __u32 unwanted = 0;

struct sum {
	struct xdp_md *ctx;
	__u32 total;
};

static long add_byte(__u32 index, struct sum *sum)
{
	__u8 *byte = frame(sum->ctx) + (index & (BYTES - 1));

	if ((void *)(byte + 1) > frame_end(sum->ctx))
		return 1;
	sum->total += *byte;
	return 0;
}

SEC("xdp")
int xdp_loop(struct xdp_md *ctx)
{
	struct sum sum = { .ctx = ctx };

	bpf_loop(BYTES, add_byte, &sum, 0);
	return sum.total == unwanted ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
