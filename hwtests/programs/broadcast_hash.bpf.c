// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame to all ports of a DEVMAP_HASH but the one it came in on.
 */
#include "suite.h"

enum {
	BPF_F_BROADCAST = 1 << 3,
	BPF_F_EXCLUDE_INGRESS = 1 << 4,
};

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 8);
} ports SEC(".maps");

SEC("xdp")
int xdp_broadcast_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
