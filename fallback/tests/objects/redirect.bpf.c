// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Every way to redirect. The first byte of the source address chooses the arguments. */
#include "../../../bpf/programs/hoist.h"

enum { BPF_MAP_TYPE_CPUMAP = 16, BPF_MAP_TYPE_DEVMAP_HASH = 25 };
enum { BROADCAST = 8, EXCLUDE_INGRESS = 16 };

#define MAP(map, kind)                                                                            \
	struct {                                                                                  \
		__uint(type, kind);                                                               \
		__type(key, __u32);                                                               \
		__type(value, __u32);                                                             \
		__uint(max_entries, 4);                                                           \
	} map SEC(".maps")

MAP(ports, BPF_MAP_TYPE_DEVMAP);
MAP(others, BPF_MAP_TYPE_DEVMAP);
MAP(hashed, BPF_MAP_TYPE_DEVMAP_HASH);
MAP(cpus, BPF_MAP_TYPE_CPUMAP);

static __inline __u32 choice(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);

	return (void *)(eth + 1) > frame_end(ctx) ? 0 : eth->source[0];
}

SEC("xdp")
int xdp_ifindex(struct xdp_md *ctx)
{
	return bpf_redirect(1, choice(ctx) & 1);
}

/* The last call wins; other verdicts ignore it. */
SEC("xdp")
int xdp_last(struct xdp_md *ctx)
{
	__u32 c = choice(ctx);

	bpf_redirect(1, 0);
	if (c & 1)
		return XDP_PASS;
	if (c & 2)
		return XDP_TX;
	return bpf_redirect_map(&ports, c, XDP_DROP);
}

SEC("xdp")
int xdp_devmap(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, choice(ctx), XDP_PASS);
}

SEC("xdp")
int xdp_devmap_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&hashed, choice(ctx), XDP_TX);
}

/* Flags that are known at run time only, unknown ones among them. */
SEC("xdp")
int xdp_flags(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 9, choice(ctx) * 32 + 2);
}

/* The compiler makes one call of these two. */
SEC("xdp")
int xdp_either(struct xdp_md *ctx)
{
	void *map = choice(ctx) & 1 ? (void *)&others : (void *)&ports;

	return bpf_redirect_map(map, 0, XDP_PASS);
}

SEC("xdp")
int xdp_broadcast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 0, BROADCAST | EXCLUDE_INGRESS);
}

SEC("xdp")
int xdp_broadcast_either(struct xdp_md *ctx)
{
	void *map = choice(ctx) & 1 ? (void *)&others : (void *)&ports;

	return bpf_redirect_map(map, 0, BROADCAST);
}

SEC("xdp")
int xdp_cpumap(struct xdp_md *ctx)
{
	return bpf_redirect_map(&cpus, choice(ctx), XDP_DROP);
}

/* Flow bypass: known flows to a port, others to a processor. The compiler makes one call of both. */
SEC("xdp")
int xdp_port_or_cpu(struct xdp_md *ctx)
{
	__u32 c = choice(ctx);

	if (c & 1)
		return bpf_redirect_map(&cpus, c >> 1 & 7, 0);
	if (c & 2)
		return bpf_redirect_map(&others, c >> 2 & 7, 0);
	return bpf_redirect_map(&ports, c >> 2 & 7, 0);
}

/* No helper was called: nothing to redirect to. */
SEC("xdp")
int xdp_nowhere(struct xdp_md *ctx)
{
	return XDP_REDIRECT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
