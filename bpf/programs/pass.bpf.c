// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Passes every frame to the stack. On a veth it is also what the peer needs for XDP_TX to work.
 */
#include "hoist.h"

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
