// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Verdicts of the redirect helpers. */
#include "note.h"

#define REDIRECTS(name, kind, value_type)                                                          \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__type(key, __u32);                                                                \
		__type(value, value_type);                                                         \
		__uint(max_entries, 2);                                                            \
	} name SEC(".maps")

REDIRECTS(devices, BPF_MAP_TYPE_DEVMAP, struct bpf_devmap_val);
REDIRECTS(hashed, BPF_MAP_TYPE_DEVMAP_HASH, __u32);
REDIRECTS(cpus, BPF_MAP_TYPE_CPUMAP, struct bpf_cpumap_val);
REDIRECTS(sockets, BPF_MAP_TYPE_XSKMAP, __u32);

SEC("xdp")
int xdp_redirect(struct xdp_md *ctx)
{
	NOTE(0, bpf_redirect(1, 0));
	NOTE(1, bpf_redirect(0, 0));
	NOTE(2, bpf_redirect(1, 1));
	NOTE(3, bpf_redirect(HIDE(0xffffffffU), HIDE(1ULL << 40)));
	return XDP_REDIRECT;
}

#define ALL(first, map)                                                                            \
	NOTE(first + 0, bpf_redirect_map(&map, 0, 0));                                             \
	NOTE(first + 1, bpf_redirect_map(&map, 1, 0));                                             \
	NOTE(first + 2, bpf_redirect_map(&map, 1, XDP_DROP));                                      \
	NOTE(first + 3, bpf_redirect_map(&map, 1, XDP_PASS));                                      \
	NOTE(first + 4, bpf_redirect_map(&map, 1, XDP_TX));                                        \
	NOTE(first + 5, bpf_redirect_map(&map, 1, XDP_REDIRECT));                                  \
	NOTE(first + 6, bpf_redirect_map(&map, 2, XDP_PASS));                                      \
	NOTE(first + 7, bpf_redirect_map(&map, 1, BPF_F_BROADCAST));                               \
	NOTE(first + 8, bpf_redirect_map(&map, 1, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS));       \
	NOTE(first + 9, bpf_redirect_map(&map, 1, BPF_F_EXCLUDE_INGRESS | XDP_PASS));              \
	NOTE(first + 10, bpf_redirect_map(&map, 0, HIDE(1ULL << 32)));                             \
	NOTE(first + 11, bpf_redirect_map(&map, HIDE(1ULL << 32), XDP_PASS));                      \
	NOTE(first + 12, bpf_redirect_map(&map, HIDE((1ULL << 32) + 1), XDP_PASS))

SEC("xdp")
int xdp_redirect_map(struct xdp_md *ctx)
{
	ALL(0, devices);
	ALL(16, hashed);
	ALL(32, cpus);
	ALL(48, sockets);
	return XDP_PASS;
}

/* What programs may see of such maps. */
SEC("xdp")
int xdp_look(struct xdp_md *ctx)
{
	__u32 zero = 0, one = 1;
	struct bpf_devmap_val *device = bpf_map_lookup_elem(&devices, &zero);
	__u32 *hash = bpf_map_lookup_elem(&hashed, &zero);

	NOTE(0, device ? device->ifindex : 0);
	NOTE(1, hash ? *hash : 0);
	NOTE(2, !!bpf_map_lookup_elem(&devices, &one));
	NOTE(3, !!bpf_map_lookup_elem(&hashed, &one));
	NOTE(4, !!bpf_map_lookup_elem(&sockets, &zero));
	return XDP_PASS;
}
