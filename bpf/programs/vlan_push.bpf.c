// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Puts an 802.1Q tag into every frame, four bytes taken from the headroom, and passes it on.
 * The tag's VLAN id and priority are configuration, set before loading.
 */
#include "hoist.h"

const volatile __u16 vlan_id = 7;
const volatile __u8 priority = 0;

SEC("xdp")
int xdp_vlan_push(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	__u8 addresses[12];
	struct vlan_tag *tag;

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_DROP;
	__builtin_memcpy(addresses, eth, 12);
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*tag)))
		return XDP_DROP;
	eth = frame(ctx);
	tag = (void *)eth + 12;
	if ((void *)(tag + 1) > frame_end(ctx))
		return XDP_DROP;
	__builtin_memcpy(eth, addresses, 12);
	tag->tpid = be16(ETH_P_8021Q);
	tag->tci = be16((vlan_id & 0xfff) | priority << 13);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
