// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Changes the destination address, the type field or both, and returns the verdict it is told.
 */
#include "suite.h"

struct change {
	__u8 destination[6];
	__be16 protocol;
	__u32 address_too;
	__u32 verdict;
};

CONFIG(struct change);

SEC("xdp")
int xdp_rewrite(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct change *change = only(&config);

	if (!change || (void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	if (change->address_too)
		__builtin_memcpy(eth->destination, change->destination, 6);
	if (change->protocol)
		eth->protocol = change->protocol;
	return change->verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
