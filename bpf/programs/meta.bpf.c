// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Writes four bytes of metadata in front of every frame, where a TC program on the same interface
 * can read them. Where the engine has no metadata, the frame is passed without.
 */
#include "hoist.h"

const volatile __u32 mark = 0xdeadbeef;

SEC("xdp")
int xdp_meta(struct xdp_md *ctx)
{
	__u32 *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_PASS;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > frame(ctx))
		return XDP_ABORTED;
	*meta = mark;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
