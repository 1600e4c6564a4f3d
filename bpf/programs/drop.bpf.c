// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Drops every frame: the smallest program there is, and the floor of every benchmark.
 */
#include "hoist.h"

SEC("xdp")
int xdp_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
