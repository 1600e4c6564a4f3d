// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Redirects under a licence that the kernel does not take for GPL.
 */
#include "suite.h"

CONFIG(__u32);

SEC("xdp")
int xdp_redirect_no_gpl(struct xdp_md *ctx)
{
	__u32 *target = only(&config);

	return target && *target ? bpf_redirect(*target, 0) : XDP_PASS;
}

char _license[] SEC("license") = "MIT";
