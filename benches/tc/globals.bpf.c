// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The three kinds of global data: configuration in `.rodata`, fixed when the program is loaded;
 * an initialised variable in `.data`, which user space may change while it runs; and counters in
 * `.bss`. With `sample` left at 0 the verifier removes the whole sampling branch.
 */
#include "tc.h"

const volatile struct {
	__u32 sample;
	__u32 min_length;
} config = { .sample = 0, .min_length = 14 };

volatile __s32 verdict = TC_ACT_UNSPEC;

__u64 packets;
__u64 sampled;

SEC("tc")
int tc_globals(struct __sk_buff *skb)
{
	__u64 count = __sync_fetch_and_add(&packets, 1);

	if (skb->len < config.min_length)
		return TC_ACT_SHOT;
	if (config.sample && count % config.sample == 0) {
		__sync_fetch_and_add(&sampled, 1);
		if (bpf_skb_change_tail(skb, skb->len, 0))
			return TC_ACT_SHOT;
	}
	return verdict == TC_ACT_SHOT ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
