// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A loop that a compiler cannot unroll away: the Internet checksum (RFC 1071) over the frame behind
 * the Ethernet header, two bytes at a time, at most 256 steps. For benchmarks.
 */
#include "hoist.h"

#define STEPS 256

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	void *end = frame_end(ctx);
	__u16 *word = frame(ctx) + sizeof(struct ethernet);
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (int step = 0; step < STEPS; step++) {
		if ((void *)(word + 1) > end)
			break;
		sum += *word++;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
