// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Returns whatever it is told to, legal or not.
 */
#include "suite.h"

CONFIG(__u32);

SEC("xdp")
int xdp_verdict(struct xdp_md *ctx)
{
	__u32 *code = only(&config);

	return code ? *code : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
