// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sums the first bytes of a frame with bpf_loop: a callback runs once per byte, with a structure
 * on the caller's stack that carries the packet context. Frames whose sum is `unwanted` are dropped.
 */
#include "tc.h"

#define BYTES 64

const volatile __u32 unwanted = 0;

struct sum {
	struct __sk_buff *skb;
	__u32 total;
};

static long add_byte(__u32 index, struct sum *sum)
{
	__u8 *byte = packet(sum->skb) + (index & (BYTES - 1));

	if ((void *)(byte + 1) > packet_end(sum->skb))
		return 1;
	sum->total += *byte;
	return 0;
}

SEC("tc")
int tc_loop(struct __sk_buff *skb)
{
	struct sum sum = { .skb = skb };

	bpf_loop(BYTES, add_byte, &sum, 0);
	return sum.total == unwanted ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
