// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Reads some bytes of the frame by helper and writes others, within the frame or beyond it. What the
 * helpers returned and what was read are the result.
 */
#include "suite.h"

struct range {
	__u32 read_at;
	__u32 read_length;
	__u32 write_at;
	__u32 write_length;
};

struct outcome {
	__s32 read;
	__s32 write;
	__u32 length;
	__u8 bytes[16];
};

CONFIG(struct range);
RESULT(struct outcome);

/* The length, or 0 for one that the arrays have no room for. Bounds that older verifiers see, too. */
static __inline __u32 fitting(__u32 length)
{
	if (length > 16)
		return 0;
	asm volatile("" : "+r"(length));
	return length;
}

SEC("xdp.frags")
int xdp_ranges(struct xdp_md *ctx)
{
	struct range *range = only(&config);
	struct outcome *outcome = only(&result);
	__u8 written[16] = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
			     0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };
	__u32 length;

	if (!range || !outcome)
		return XDP_ABORTED;
	outcome->length = bpf_xdp_get_buff_len(ctx);
	length = fitting(range->read_length);
	if (length)
		outcome->read = bpf_xdp_load_bytes(ctx, range->read_at, outcome->bytes, length);
	length = fitting(range->write_length);
	if (length)
		outcome->write = bpf_xdp_store_bytes(ctx, range->write_at, written, length);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
