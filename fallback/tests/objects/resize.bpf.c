// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Resizes frames as a map says, tells what the helpers answered, and writes what it gained. */
#include "../../../bpf/programs/hoist.h"

struct how {
	__s32 head, tail, head_again;
	__u32 verdict;
	/* Written to the destination address and as EtherType, where not 0. */
	__u32 destination;
	__u16 protocol;
	__u16 unused;
};

struct said {
	__s64 head, tail, head_again;
	__u64 len;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct how);
	__uint(max_entries, 1);
} how SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct said);
	__uint(max_entries, 1);
} said SEC(".maps");

/* What a frame gains at its start is undefined until it is written. */
static __inline void fill(struct xdp_md *ctx, __s32 gained)
{
	__u8 *at = frame(ctx), *end = frame_end(ctx);

	for (__s32 i = 0; i < 256 && i < gained; i++) {
		if (at + 1 > end)
			return;
		*at++ = 0xc0 + (i & 7);
	}
}

SEC("xdp")
int xdp_resize(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct how *h = bpf_map_lookup_elem(&how, &key);
	struct said *s = bpf_map_lookup_elem(&said, &key);
	struct ethernet *eth;

	if (!h || !s)
		return XDP_ABORTED;
	s->head = bpf_xdp_adjust_head(ctx, h->head);
	if (!s->head)
		fill(ctx, -h->head);
	s->tail = bpf_xdp_adjust_tail(ctx, h->tail);
	s->head_again = bpf_xdp_adjust_head(ctx, h->head_again);
	if (!s->head_again)
		fill(ctx, -h->head_again);
	s->len = bpf_xdp_get_buff_len(ctx);
	eth = frame(ctx);
	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	if (h->destination)
		*(__u32 *)eth->destination = h->destination;
	if (h->protocol)
		eth->protocol = h->protocol;
	return h->verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
