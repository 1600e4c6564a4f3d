// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Declares that it copes with frames of several buffers, so that it can run natively on an
 * interface with a large MTU; counts the frames and bytes that do not fit into one buffer.
 */
#include "hoist.h"

__u64 packets;
__u64 bytes_beyond_linear;

SEC("xdp.frags")
int xdp_frags(struct xdp_md *ctx)
{
	__u64 linear = ctx->data_end - ctx->data;
	__u64 length = bpf_xdp_get_buff_len(ctx);

	if (length > linear) {
		__sync_fetch_and_add(&packets, 1);
		__sync_fetch_and_add(&bytes_beyond_linear, length - linear);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
