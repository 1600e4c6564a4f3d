// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Subprograms of both kinds: a static one, verified at each call, that gets packet pointers through
 * a structure on its caller's stack; and a global one, verified once from its types alone.
 */
#include "hoist.h"

struct cursor {
	void *at;
	void *end;
};

__u64 by_kind[4];

/* The ethertype under the cursor, or 0. */
static __noinline __u16 ethertype(const struct cursor *cursor)
{
	struct ethernet *eth = cursor->at;

	if ((void *)(eth + 1) > cursor->end)
		return 0;
	return be16(eth->protocol);
}

__noinline int account(struct xdp_md *ctx, __u32 kind)
{
	if (!ctx || kind >= 4)
		return XDP_ABORTED;
	__sync_fetch_and_add(&by_kind[kind], 1);
	return ctx->data_end - ctx->data < 14 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int xdp_subprog(struct xdp_md *ctx)
{
	struct cursor cursor = { .at = frame(ctx), .end = frame_end(ctx) };

	switch (ethertype(&cursor)) {
	case ETH_P_IP:
		return account(ctx, 1);
	case ETH_P_IPV6:
		return account(ctx, 2);
	case ETH_P_8021Q:
		return account(ctx, 3);
	default:
		return account(ctx, 0);
	}
}

char _license[] SEC("license") = "Dual MIT/GPL";
