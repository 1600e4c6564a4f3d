// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Stores that cover every byte of a value: nothing of it is written back that was only read. */
#include "lowering.h"

struct seen {
	__u64 source;
	__u32 length;
	__u32 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct seen);
	__uint(max_entries, 4);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct seen);
	__uint(max_entries, 16);
} hash SEC(".maps");

SEC("xdp")
int xdp_whole(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx), *end = frame_end(ctx);
	struct seen *seen, fresh = {};
	__u32 index;

	if (data + 34 > end)
		return XDP_DROP;
	index = data[5] & 3;
	seen = bpf_map_lookup_elem(&array, &index);
	if (!seen)
		return XDP_ABORTED;
	*(__u64 *)data = seen->source;
	seen->source = *(__u64 *)(data + 6);
	seen->length = end - data;
	seen->kind = data[23];

	index = data[11] & 7;
	seen = bpf_map_lookup_elem(&hash, &index);
	if (!seen)
		return bpf_map_update_elem(&hash, &index, &fresh, 0) ? XDP_ABORTED : XDP_PASS;
	seen->kind = seen->length + data[12];
	seen->source = index;
	seen->length = end - data;
	return data[22] & 3;
}

char _license[] SEC("license") = "Dual MIT/GPL";
