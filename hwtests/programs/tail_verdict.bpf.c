// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Hands every frame to a program that returns whatever it is told to. Should the tail call fail, it
 * returns a constant: a verifier that counts on that takes every other verdict for impossible.
 */
#include "suite.h"

CONFIG(__u32);

SEC("xdp")
int xdp_told(struct xdp_md *ctx)
{
	__u32 *code = only(&config);

	return code ? *code : XDP_ABORTED;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__uint(max_entries, 1);
	__array(values, int(struct xdp_md *));
} next SEC(".maps") = {
	.values = { [0] = &xdp_told },
};

SEC("xdp")
int xdp_tail_verdict(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
