// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Reads the type field through a dynptr: kernel functions that XDP and TC know under different names.
 */
#include "suite.h"

struct bpf_dynptr {
	__u64 opaque[2];
} __attribute__((aligned(8)));

extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *pointer)
	SEC(".ksyms");
extern void *bpf_dynptr_slice(const struct bpf_dynptr *pointer, __u64 offset, void *buffer,
			      __u64 size) SEC(".ksyms");

RESULT(__u32);

SEC("xdp")
int xdp_dynptr(struct xdp_md *ctx)
{
	__u32 *type = only(&result);
	struct bpf_dynptr pointer;
	__be16 buffer, *field;

	if (!type || bpf_dynptr_from_xdp(ctx, 0, &pointer))
		return XDP_ABORTED;
	field = bpf_dynptr_slice(&pointer, 12, &buffer, sizeof(buffer));
	if (!field)
		return XDP_ABORTED;
	*type = be16(*field);
	return *type == ETH_P_IPV6 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
