// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sends every frame to the CPU of its key, which must be in the map.
 */
#include "suite.h"

struct cpumap_value {
	__u32 queue_size;
	__u32 program;
};

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__type(key, __u32);
	__type(value, struct cpumap_value);
	__uint(max_entries, 4);
} cpus SEC(".maps");

CONFIG(__u32);

SEC("xdp")
int xdp_cpumap(struct xdp_md *ctx)
{
	__u32 *cpu = only(&config);

	return cpu ? bpf_redirect_map(&cpus, *cpu, XDP_DROP) : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
