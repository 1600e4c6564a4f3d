// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Reads the frame through a dynptr and counts what it found. */
#include "../../../bpf/programs/hoist.h"

struct bpf_dynptr {
	__u64 opaque[2];
} __attribute__((aligned(8)));

extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *to)
	__attribute__((section(".ksyms")));
extern void *bpf_dynptr_slice(const struct bpf_dynptr *from, __u32 offset, void *buffer,
			      __u32 size) __attribute__((section(".ksyms")));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} sum SEC(".maps");

SEC("xdp")
int xdp_kfunc(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *total = bpf_map_lookup_elem(&sum, &key);
	struct bpf_dynptr frame;
	__u8 buffer[4];
	__u8 *bytes;

	if (!total || bpf_dynptr_from_xdp(ctx, 0, &frame))
		return XDP_ABORTED;
	bytes = bpf_dynptr_slice(&frame, 12, buffer, sizeof(buffer));
	if (!bytes)
		return XDP_DROP;
	*total += bytes[0] + bytes[1] * 256;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
