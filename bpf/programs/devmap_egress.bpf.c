// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Runs for each frame that a devmap entry sends, after the redirect and before the target's queue:
 * drops frames that would leave where they came in. It belongs in a devmap, not on an interface.
 */
#include "hoist.h"

SEC("xdp/devmap")
int xdp_devmap_egress(struct xdp_md *ctx)
{
	return ctx->egress_ifindex == ctx->ingress_ifindex ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
