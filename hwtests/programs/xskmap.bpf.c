// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Hands frames to the AF_XDP socket of their queue; without one they pass.
 */
#include "suite.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} sockets SEC(".maps");

SEC("xdp")
int xdp_xskmap(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
