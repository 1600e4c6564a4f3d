/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Instructions that only -mcpu=v4 has. */
#include "object.h"

signed char bytes[8];
short words[8];
int longs[8];
__s64 sum = 1;

SEC("xdp")
int newest(struct xdp_md *ctx)
{
	__s64 a = bytes[1], b = words[2], c = longs[3];

	/* Sign extension on load and move, signed division, byte swap. */
	sum += (signed char)(a + ctx->rx_queue_index) + b + c;
	sum = sum / (a - 5) + sum % (b - 7);
	sum += __builtin_bswap64(a) + __builtin_bswap32(b) + __builtin_bswap16(c);
	asm volatile goto("gotol %l[far]" : : : : far);
	sum += 1;
far:
	/* may_goto: two slots on, unless the loop budget is spent. */
	asm volatile(".byte 0xe5; .byte 0; .short 1; .long 0; r0 = r0" : : : "r0");
	return sum ? 1 : 2;
}

char _license[] SEC("license") = "GPL";
