// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Swaps the MAC addresses and sends every frame back where it came from: a reflector.
 */
#include "hoist.h"

SEC("xdp")
int xdp_swap_tx(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	__u8 address[6];

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_DROP;
	__builtin_memcpy(address, eth->destination, 6);
	__builtin_memcpy(eth->destination, eth->source, 6);
	__builtin_memcpy(eth->source, address, 6);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
