/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What cannot be translated to TC: one program for each reason, and one for several at once. */
#include "../../../bpf/programs/hoist.h"

#define BPF_MAP_TYPE_XSKMAP 17
#define BPF_MAP_TYPE_DEVMAP_HASH 25
#define BPF_MAP_TYPE_CPUMAP 16
#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12
#define BPF_F_BROADCAST (1ULL << 3)

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} ports_by_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} ports_by_number SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} processors SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 1);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &inner } };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__u32 (*value)[8];
	__uint(max_entries, 1);
} settings SEC(".maps");

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash, __u32 *type) SEC(".ksyms");
extern void *bpf_cast_to_kern_ctx(void *ctx) SEC(".ksyms");
extern int bpf_xdp_get_xfrm_state(struct xdp_md *ctx, void *options, __u32 size) SEC(".ksyms");

SEC("xdp/devmap")
int for_a_devmap(struct xdp_md *ctx)
{
	return ctx->egress_ifindex == 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp/cpumap")
int for_a_cpumap(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int to_a_socket(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int to_all_of_a_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports_by_key, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int through_a_map_of_maps(struct xdp_md *ctx)
{
	__u32 key = 0;
	void *map = bpf_map_lookup_elem(&outer, &key);

	return map ? bpf_redirect_map(map, 0, 0) : XDP_PASS;
}

SEC("xdp")
int pointer_over_a_store(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx);
	__u8 byte = 1;

	if (data + 14 > (__u8 *)frame_end(ctx))
		return XDP_DROP;
	bpf_xdp_store_bytes(ctx, 20, &byte, 1);
	return data[12] == 8 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int hash_of_the_nic(struct xdp_md *ctx)
{
	__u32 hash = 0, type = 0;

	return bpf_xdp_metadata_rx_hash(ctx, &hash, &type) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int for_xdp_alone(struct xdp_md *ctx)
{
	__u32 options[4] = {};

	return bpf_xdp_get_xfrm_state(ctx, options, sizeof(options)) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int casts_the_context(struct xdp_md *ctx)
{
	return bpf_cast_to_kern_ctx(ctx) ? XDP_DROP : XDP_PASS;
}

static __noinline __u32 fifth_word(const __u32 *words)
{
	asm volatile("" : "+r"(words));
	return words[4];
}

SEC("xdp")
int context_or_map(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&settings, &key);

	if (!value)
		return XDP_PASS;
	return fifth_word((__u32 *)ctx) == fifth_word(value) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int a_byte_of_the_context(struct xdp_md *ctx)
{
	return *(volatile __u8 *)&ctx->rx_queue_index ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int writes_the_context(struct xdp_md *ctx)
{
	*(volatile __u32 *)&ctx->rx_queue_index = 1;
	return XDP_PASS;
}

SEC("xdp")
int moves_the_context(struct xdp_md *ctx)
{
	__u32 *field = &ctx->rx_queue_index;

	asm volatile("" : "+r"(field));
	return *field ? XDP_DROP : XDP_PASS;
}

#define LEVEL(n, next)                                                                             \
	static __noinline int level_##n(int x)                                                     \
	{                                                                                          \
		asm volatile("" : "+r"(x));                                                        \
		return next + n;                                                                   \
	}
LEVEL(7, x)
LEVEL(6, level_7(x))
LEVEL(5, level_6(x))
LEVEL(4, level_5(x))
LEVEL(3, level_4(x))
LEVEL(2, level_3(x))
LEVEL(1, level_2(x))

SEC("xdp")
int eight_deep(struct xdp_md *ctx)
{
	return level_1(ctx->rx_queue_index) == 40 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int several(struct xdp_md *ctx)
{
	__u8 *data = frame(ctx);
	__u8 byte = 1;
	__u32 hash = 0, type = 0;

	if (data + 14 > (__u8 *)frame_end(ctx))
		return XDP_DROP;
	*(volatile __u32 *)&ctx->rx_queue_index = 1;
	bpf_xdp_store_bytes(ctx, 20, &byte, 1);
	if (data[12] == 8)
		return bpf_redirect_map(&sockets, 0, 0);
	bpf_xdp_metadata_rx_hash(ctx, &hash, &type);
	return bpf_redirect_map(&ports_by_key, 0, BPF_F_BROADCAST);
}

char _license[] SEC("license") = "Dual MIT/GPL";
