/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the programs of the conformance suite share beyond hoist.h. Each reads what to do from its map
 * `config`, so that a case changes it without loading the program anew, and leaves what it found in
 * its map `result`.
 */
#ifndef SUITE_H
#define SUITE_H

#include "hoist.h"

#define CONFIG(held)                                                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__type(key, __u32);                                                                \
		__type(value, held);                                                               \
		__uint(max_entries, 1);                                                            \
	} config SEC(".maps")

#define RESULT(held)                                                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__type(key, __u32);                                                                \
		__type(value, held);                                                               \
		__uint(max_entries, 1);                                                            \
	} result SEC(".maps")

/* The only entry of an array. */
static __inline void *only(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

enum {
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_CPUMAP = 16,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
};

__helper long (*bpf_map_update_elem)(void *map, const void *key, const void *value,
				     __u64 flags) = (void *)2;
__helper __s64 (*bpf_csum_diff)(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size,
				__u32 seed) = (void *)28;
__helper long (*bpf_fib_lookup)(void *ctx, void *params, int size, __u32 flags) = (void *)69;
__helper void *(*bpf_sk_lookup_udp)(void *ctx, void *tuple, __u32 size, __u64 netns,
				    __u64 flags) = (void *)85;
__helper long (*bpf_sk_release)(void *socket) = (void *)86;
__helper long (*bpf_map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
__helper long (*bpf_check_mtu)(void *ctx, __u32 ifindex, __u32 *mtu_len, __s32 len_diff,
			       __u64 flags) = (void *)163;

#endif
