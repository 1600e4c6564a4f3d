// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame out of the interface that a devmap holds for the receive queue it came in on;
 * a queue without an entry passes its frames to the stack.
 */
#include "hoist.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 64);
} ports SEC(".maps");

SEC("xdp")
int xdp_redirect_devmap(struct xdp_md *ctx)
{
	/* The low two bits of the flags are the verdict for an absent key. */
	return bpf_redirect_map(&ports, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
