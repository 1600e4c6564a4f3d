// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * About 3,000 instructions in the shape of real programs: a chain of stages, each of which parses
 * the frame again, looks into maps, counts and may decide. For benchmarks; it is never attached.
 *
 *   clang-14 -target bpf -mcpu=v3 -O2 -g -I ../../bpf/programs -c large.bpf.c -o large.bpf.o
 *   llvm-strip-14 -g large.bpf.o
 */
#include "hoist.h"

struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 stage;
	__u16 zero;
};

struct rule {
	__u64 packets;
	__u64 bytes;
	__u32 verdict;
	__u32 rate;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, struct rule);
	__uint(max_entries, 65536);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 256);
} stage_hits SEC(".maps");

const volatile __u32 enabled_stages = 0xffffffff;
__u64 seen;

#define STAGE(n)                                                                                  \
	static __noinline __u32 stage_##n(struct xdp_md *ctx)                                     \
	{                                                                                         \
		struct ethernet *eth = frame(ctx);                                                \
		struct ipv4 *ip = (void *)(eth + 1);                                              \
		struct ports *ports = (void *)(ip + 1);                                           \
		void *end = frame_end(ctx);                                                       \
		struct flow flow = { .stage = n };                                                \
		__u32 key = n, sum = 0;                                                           \
		struct rule *rule;                                                                \
		__u64 *hits;                                                                      \
                                                                                                  \
		if (!(enabled_stages & (1u << n)) || (void *)(ports + 1) > end)                   \
			return XDP_ABORTED;                                                       \
		if (eth->protocol != be16(ETH_P_IP) || ip->version_ihl != 0x45)                   \
			return XDP_ABORTED;                                                       \
		if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)                   \
			return XDP_ABORTED;                                                       \
		if (ip->ttl <= n || (ip->tos >> 2) == n)                                          \
			return XDP_DROP;                                                          \
		flow.source = ip->source & be32(0xffffffff << (n % 8));                           \
		flow.destination = ip->destination;                                               \
		flow.source_port = ports->source;                                                 \
		flow.destination_port = ports->destination;                                       \
		flow.protocol = ip->protocol;                                                     \
		sum = ip->checksum + ip->id + ip->length + (ip->source >> 16) + ports->source;    \
		sum = (sum & 0xffff) + (sum >> 16);                                               \
		hits = bpf_map_lookup_elem(&stage_hits, &key);                                    \
		if (hits)                                                                         \
			*hits += 1;                                                               \
		rule = bpf_map_lookup_elem(&rules, &flow);                                        \
		if (!rule)                                                                        \
			return sum == n ? XDP_DROP : XDP_ABORTED;                                 \
		__sync_fetch_and_add(&rule->packets, 1);                                          \
		__sync_fetch_and_add(&rule->bytes, end - (void *)eth);                            \
		if (rule->rate && rule->packets % rule->rate == n)                                \
			return XDP_PASS;                                                          \
		return rule->verdict;                                                             \
	}

#define RUN(n)                                                                                    \
	verdict = stage_##n(ctx);                                                                 \
	if (verdict != XDP_ABORTED)                                                               \
		return verdict;

#define EACH(do)                                                                                  \
	do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13)   \
	do(14) do(15) do(16) do(17) do(18) do(19) do(20)

EACH(STAGE)

SEC("xdp")
int xdp_large(struct xdp_md *ctx)
{
	__u32 verdict;

	__sync_fetch_and_add(&seen, 1);
	EACH(RUN)
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
