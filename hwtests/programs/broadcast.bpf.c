// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame to all ports of a DEVMAP, the one it came in on included or not.
 */
#include "suite.h"

enum {
	BPF_F_BROADCAST = 1 << 3,
	BPF_F_EXCLUDE_INGRESS = 1 << 4,
};

CONFIG(__u32);

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 8);
} ports SEC(".maps");

SEC("xdp")
int xdp_broadcast(struct xdp_md *ctx)
{
	__u32 *others_only = only(&config);

	if (others_only && *others_only)
		return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST);
}

char _license[] SEC("license") = "Dual MIT/GPL";
