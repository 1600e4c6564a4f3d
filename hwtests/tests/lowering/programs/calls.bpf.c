// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Functions that are called and cannot be inlined by the compiler: twice, within each other, with
 * pointers to the caller's stack, with several returns, and with more kept than registers hold.
 */
#include "lowering.h"

struct sums {
	__u64 words[4];
	__u32 count;
};

static __noinline __u32 mix(__u32 a, __u32 b)
{
	__u32 parts[4] = { a, b, a ^ b, a + b };

	for (int i = 0; i < 4; i++) {
		parts[i] = parts[i] * 31 + parts[(i + 1) & 3];
		keep(parts);
	}
	if (parts[0] & 1)
		return parts[1] ^ parts[2];
	if (parts[3] & 2)
		return parts[3];
	return parts[0] + parts[2];
}

static __noinline int add(struct sums *sums, const __u8 *bytes, const void *end, __u32 from)
{
	__u32 number, other;

	if ((const void *)(bytes + from + 8) > end || from > 40)
		return -1;
	number = *(const __u32 *)(bytes + from);
	other = mix(number, from);
	sums->words[0] += number;
	sums->words[1] ^= mix(other, number);
	sums->words[other & 1 ? 2 : 3] += other;
	sums->count++;
	return other & 3;
}

SEC("xdp")
int xdp_calls(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx), *end = frame_end(ctx);
	struct sums sums = {};
	__u32 first, second, third;

	if (data + 34 > end)
		return XDP_DROP;
	first = add(&sums, data, end, 0);
	second = add(&sums, data, end, 14);
	third = mix(first, second);
	if (third & 4 && add(&sums, data, end, 26) < 0)
		return XDP_ABORTED;
	*(__u64 *)(data + 0) = sums.words[0] + sums.words[1];
	*(__u64 *)(data + 8) = sums.words[2] ^ sums.words[3];
	*(__u32 *)(data + 16) = sums.count;
	*(__u32 *)(data + 20) = mix(first + second, third);
	return (first + second + third) & 3;
}

char _license[] SEC("license") = "Dual MIT/GPL";
