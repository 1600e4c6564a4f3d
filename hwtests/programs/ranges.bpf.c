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

static __inline int fits(__u32 length)
{
	return length > 0 && length <= 16;
}

/* A length that fits, in a form whose bounds older verifiers see, too. */
static __inline __u32 bounded(__u32 length)
{
	length--;
	asm volatile("" : "+r"(length));
	return (length & 15) + 1;
}

SEC("xdp.frags")
int xdp_ranges(struct xdp_md *ctx)
{
	struct range *range = only(&config);
	struct outcome *outcome = only(&result);
	__u8 written[16] = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
			     0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };

	if (!range || !outcome)
		return XDP_ABORTED;
	outcome->length = bpf_xdp_get_buff_len(ctx);
	if (fits(range->read_length))
		outcome->read = bpf_xdp_load_bytes(ctx, range->read_at, outcome->bytes,
						   bounded(range->read_length));
	if (fits(range->write_length))
		outcome->write = bpf_xdp_store_bytes(ctx, range->write_at, written,
						     bounded(range->write_length));
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
