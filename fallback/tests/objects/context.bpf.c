// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Ways that the context takes through a program, and what else must survive translation. */
#include "../../../bpf/programs/hoist.h"

__helper long (*bpf_fib_lookup)(void *ctx, void *params, int size, __u32 flags) = (void *)69;
__helper long (*bpf_check_mtu)(void *ctx, __u32 ifindex, __u32 *mtu, __s32 by, __u64 flags) =
	(void *)163;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} found SEC(".maps");

static __inline void tell(__u32 key, __u64 value)
{
	__u64 *slot = bpf_map_lookup_elem(&found, &key);

	if (slot)
		*slot = value;
}

struct carrier {
	__u64 before;
	struct xdp_md *ctx;
	__u64 sum;
};

static __noinline __u32 through_memory(struct carrier *c)
{
	struct xdp_md *ctx = c->ctx;

	return frame_end(ctx) - frame(ctx) + ctx->ingress_ifindex;
}

__noinline int global(struct xdp_md *ctx)
{
	return ctx->rx_queue_index + 1000;
}

static long callback(__u64 index, struct carrier *c)
{
	__u8 *byte = frame(c->ctx) + (index & 7);

	if ((void *)(byte + 1) > frame_end(c->ctx))
		return 1;
	c->sum += *byte;
	return 0;
}

SEC("xdp")
int xdp_context(struct xdp_md *ctx)
{
	struct carrier c = { .ctx = ctx };

	tell(0, through_memory(&c));
	tell(1, global(ctx));
	bpf_loop(8, callback, &c, 0);
	tell(2, c.sum);
	return XDP_PASS;
}

/* The old main may use all the stack there is. */
SEC("xdp")
int xdp_deep(struct xdp_md *ctx)
{
	volatile __u64 stack[62];

	for (int i = 0; i < 62; i++)
		stack[i] = i;
	stack[ctx->ingress_ifindex & 31] = 7;
	tell(3, stack[1]);
	return XDP_PASS;
}

SEC("xdp")
int xdp_bytes_at(struct xdp_md *ctx)
{
	__u8 bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	__u64 word;

	tell(0, bpf_xdp_load_bytes(ctx, 60, bytes, 8));
	__builtin_memcpy(&word, bytes, 8);
	tell(1, word);
	tell(2, bpf_xdp_load_bytes(ctx, 0x10000, bytes, 8));
	tell(3, bpf_xdp_store_bytes(ctx, 70, bytes, 8));
	tell(4, bpf_xdp_store_bytes(ctx, 0xfffff, bytes, 8));
	return XDP_PASS;
}

SEC("xdp")
int xdp_routes(struct xdp_md *ctx)
{
	struct {
		__u8 family, l4;
		__u16 sport, dport, tot_len;
		__u32 ifindex, tos, source[4], destination[4];
		__u16 vlan[2];
		__u8 smac[6], dmac[6];
	} p = { .family = 2, .ifindex = 1 };
	__u32 mtu = 0;

	p.source[0] = p.destination[0] = be32(0x7f000001);
	tell(0, bpf_fib_lookup(ctx, &p, sizeof(p), 0));
	tell(1, p.tot_len);
	tell(2, bpf_check_mtu(ctx, 1, &mtu, 0, 0));
	tell(3, mtu);
	tell(4, bpf_check_mtu(ctx, 1, &mtu, 0, 1));
	tell(5, bpf_check_mtu(ctx, 12345, &mtu, 0, 0));
	return XDP_PASS;
}

SEC("xdp")
int xdp_code(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);

	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_ABORTED;
	return (__s32)(signed char)eth->source[5] - 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
