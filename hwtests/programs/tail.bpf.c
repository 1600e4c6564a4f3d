// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Moves the end of the frame by up to two steps. What the helper returned, and the length that came of
 * it, are the result.
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

SEC("xdp")
int xdp_tail(struct xdp_md *ctx)
{
	struct steps *steps = only(&config);
	struct outcome *outcome = only(&result);

	if (!steps || !outcome)
		return XDP_ABORTED;
	outcome->first = bpf_xdp_adjust_tail(ctx, steps->first);
	outcome->second = bpf_xdp_adjust_tail(ctx, steps->second);
	outcome->length = ctx->data_end - ctx->data;
	return steps->verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
