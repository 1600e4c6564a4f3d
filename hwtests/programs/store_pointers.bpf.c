// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Goes on using a packet pointer after bpf_xdp_store_bytes, which XDP allows.
 */
#include "suite.h"

SEC("xdp")
int xdp_store_pointers(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	__u8 byte = 0x77;

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_DROP;
	bpf_xdp_store_bytes(ctx, 14, &byte, 1);
	eth->source[5] = 0x55;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
