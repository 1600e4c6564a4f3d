// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Takes the outer 802.1Q tag off frames that have one and passes everything on.
 */
#include "hoist.h"

SEC("xdp")
int xdp_vlan_pop(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	__u8 addresses[12];

	if ((void *)(eth + 1) + sizeof(struct vlan_tag) > frame_end(ctx))
		return XDP_PASS;
	if (eth->protocol != be16(ETH_P_8021Q))
		return XDP_PASS;
	__builtin_memcpy(addresses, eth, 12);
	if (bpf_xdp_adjust_head(ctx, sizeof(struct vlan_tag)))
		return XDP_DROP;
	eth = frame(ctx);
	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_DROP;
	__builtin_memcpy(eth, addresses, 12);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
