// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Counters whose load and store are in different blocks. */
#include "lowering.h"

struct counts {
	__u64 frames;
	__u64 bytes;
	__u32 small;
	__u32 odd;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct counts);
	__uint(max_entries, 4);
} counts SEC(".maps");

SEC("xdp")
int xdp_counters(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx), *end = frame_end(ctx);
	struct counts *count;
	__u64 bytes, frames;
	__u32 index;

	if (data + 34 > end)
		return XDP_DROP;
	index = data[12] & 3;
	count = bpf_map_lookup_elem(&counts, &index);
	if (!count)
		return XDP_ABORTED;
	/* One store after two ways. */
	bytes = count->bytes;
	keep(&index);
	if (data[13] & 1)
		bytes += end - data;
	else
		bytes -= data[14];
	count->bytes = bytes;
	/* A store on one way alone, and another one on the other. */
	frames = count->frames;
	keep(&index);
	if (data[15] > 128) {
		keep(&index);
		count->frames = frames + 1;
		keep(&index);
		count->odd += data[16] & 1;
	} else if (data[15] > 40) {
		count->frames = frames + 3;
		keep(&index);
	}
	if (end - data < 100)
		count->small += data[17];
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
