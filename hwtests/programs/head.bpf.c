// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Moves the start of the frame by up to two steps and puts the Ethernet header back in front; bytes
 * gained become 0. Where a step is refused, the frame stays as it is after the steps before. What the
 * helper returned is the result.
 */
#include "suite.h"

struct steps {
	__s32 first;
	__s32 second;
	__u32 verdict;
};

struct outcome {
	__s32 first;
	__s32 second;
	__u32 length;
};

CONFIG(struct steps);
RESULT(struct outcome);

#define MOST 256

SEC("xdp")
int xdp_head(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct steps *steps = only(&config);
	struct outcome *outcome = only(&result);
	__s32 gained = 0;
	__u8 copy[14];

	if (!steps || !outcome || (void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	__builtin_memcpy(copy, eth, 14);
	outcome->first = bpf_xdp_adjust_head(ctx, steps->first);
	if (!outcome->first)
		gained -= steps->first;
	outcome->second = bpf_xdp_adjust_head(ctx, steps->second);
	if (!outcome->second)
		gained -= steps->second;
	outcome->length = ctx->data_end - ctx->data;

	eth = frame(ctx);
	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	__builtin_memcpy(eth, copy, 14);
	for (int i = 0; i < MOST; i++) {
		__u8 *byte = (__u8 *)(eth + 1) + i;

		if (i >= gained || (void *)(byte + 1) > frame_end(ctx))
			break;
		*byte = 0;
	}
	return steps->verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
