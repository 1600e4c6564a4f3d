// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Values that are stored to: whole and in part, in an array, a hash and a variable. */
#include "lowering.h"

struct last {
	__u32 length;
	__u16 kind;
	__u8 first, second;
};

struct flow {
	__u64 frames;
	__u64 sum;
	__u32 last;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct last);
	__uint(max_entries, 8);
} lasts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct flow);
	__uint(max_entries, 64);
} flows SEC(".maps");

__u32 newest;
__u8 kinds[12];

SEC("xdp")
int xdp_stores(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx), *end = frame_end(ctx);
	struct flow *flow, fresh = {};
	struct last *last;
	__u32 index;
	__u64 key;

	if (data + 34 > end)
		return XDP_DROP;
	index = data[13] & 7;
	last = bpf_map_lookup_elem(&lasts, &index);
	/* The program's own key is gone when the value is stored to. */
	index = data[12];
	keep(&index);
	if (!last)
		return XDP_ABORTED;
	if (last->length == (__u32)(end - data))
		last->second = data[23];
	last->length = end - data;
	last->kind = *(__u16 *)(data + 12);
	last->first = last->second + index;

	key = *(__u32 *)(data + 26) & 0x1f;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		fresh.last = newest;
		bpf_map_update_elem(&flows, &key, &fresh, 0);
	} else {
		__u64 sum = flow->sum;

		flow->sum = sum * 3 + data[15];
		flow->last = sum;
		flow->frames = key;
	}
	newest = index + last->length;
	kinds[3] = data[23];
	return data[22] & 3;
}

char _license[] SEC("license") = "Dual MIT/GPL";
