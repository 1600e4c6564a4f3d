// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Cuts frames down to at most `keep` bytes and passes them on: the snap length of a monitor.
 */
#include "hoist.h"

const volatile __u32 keep = 64;

SEC("xdp")
int xdp_tail_shrink(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;

	if (length > keep && bpf_xdp_adjust_tail(ctx, (int)(keep - length)))
		return XDP_DROP;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
