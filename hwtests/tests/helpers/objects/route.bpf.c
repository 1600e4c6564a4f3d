// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Asks for a route. The question is in the frame behind its Ethernet header: flags, length, and struct
 * bpf_fib_lookup, which is replaced by the answer.
 */
#include "note.h"

SEC("xdp")
int xdp_route(struct xdp_md *ctx)
{
	struct bpf_fib_lookup question = {};
	__u32 flags = 0;

	if (bpf_xdp_load_bytes(ctx, 14, &flags, sizeof(flags)) ||
	    bpf_xdp_load_bytes(ctx, 18, &question, sizeof(question)))
		return XDP_ABORTED;
	NOTE(0, bpf_fib_lookup(ctx, &question, sizeof(question), flags));
	NOTE(1, bpf_fib_lookup(ctx, &question, sizeof(question) - 1, flags));
	return bpf_xdp_store_bytes(ctx, 18, &question, sizeof(question)) ? XDP_ABORTED : XDP_PASS;
}
