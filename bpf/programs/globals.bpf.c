// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The three kinds of global data: configuration in `.rodata`, fixed when the program is loaded;
 * an initialised variable in `.data`, which user space may change while it runs; and counters in
 * `.bss`. With `sample` left at 0 the verifier removes the whole sampling branch.
 */
#include "hoist.h"

const volatile struct {
	__u32 sample;
	__u32 min_length;
} config = { .sample = 0, .min_length = 14 };

volatile __u32 verdict = XDP_PASS;

__u64 packets;
__u64 sampled;

SEC("xdp")
int xdp_globals(struct xdp_md *ctx)
{
	__u64 count = __sync_fetch_and_add(&packets, 1);

	if (ctx->data_end - ctx->data < config.min_length)
		return XDP_ABORTED;
	if (config.sample && count % config.sample == 0) {
		__sync_fetch_and_add(&sampled, 1);
		if (bpf_xdp_adjust_tail(ctx, 0))
			return XDP_ABORTED;
	}
	return verdict == XDP_DROP ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
