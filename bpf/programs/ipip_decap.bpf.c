// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Takes the outer header off IPv4-in-IPv4 frames (RFC 2003) and passes everything on.
 */
#include "hoist.h"

SEC("xdp")
int xdp_ipip_decap(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct ipv4 *outer = (void *)(eth + 1);
	struct ethernet copy;

	if ((void *)(outer + 2) > frame_end(ctx) || eth->protocol != be16(ETH_P_IP))
		return XDP_PASS;
	if (outer->version_ihl != 0x45 || outer->protocol != IPPROTO_IPIP)
		return XDP_PASS;
	copy = *eth;
	if (bpf_xdp_adjust_head(ctx, sizeof(*outer)))
		return XDP_DROP;
	eth = frame(ctx);
	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_DROP;
	*eth = copy;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
