/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The runtime's own maps, and what it counts. No key is on the stack while the program runs, which
 * may need all of it.
 */
#ifndef HOIST_RUNTIME_MAPS_H
#define HOIST_RUNTIME_MAPS_H

#include "kernel.h"

struct verdict {
	__u64 packets;
	__u64 bytes;
};

/* Laid out as the counters of hoist's counting pass: verdict to packets and bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct verdict);
	__uint(max_entries, XDP_REDIRECT + 1);
} hoist_verdicts SEC(".maps");

/* The keys of hoist_events; the translator's `Event` has the same numbers. */
enum event {
	EVENT_MERGED,
	EVENT_PULL_FAILED,
	EVENT_VLAN_PUSH_FAILED,
	EVENT_REFRESH_FAILED,
	EVENT_ABORTED,
	EVENT_INVALID_CODE,
	EVENT_MTU_DROP,
	EVENT_REDIRECT_MISS,
	EVENTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, EVENTS);
} hoist_events SEC(".maps");

/* The interface's address in the order of the wire, then two zeroes; its owner writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} hoist_device SEC(".maps");

/* Where the program wants the frame to go: its redirect helpers have no context to note it in. */
enum { TARGET_NONE, TARGET_DEVICE, TARGET_BROADCAST, TARGET_CPU };

struct state {
	__u32 target;
	/* Of a device its index; of a broadcast the number of the devmap. */
	__u32 index;
	__u32 flags;
	__u32 key;
	__u32 mtu;
	/* Where no pointer may move by what is not constant: the first bytes of a frame. */
	__u64 header[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct state);
	__uint(max_entries, 1);
} hoist_state SEC(".maps");

/* Volatile: the compiler must leave them in memory, where map helpers want keys. */
static const volatile __u32 keys[] SEC(".rodata.hoist") = { 0, 1, 2, 3, 4 };

_Static_assert(XDP_REDIRECT < sizeof(keys) / sizeof(keys[0]), "a verdict without a key");

static __inline void *at(void *map, __u32 key)
{
	return bpf_map_lookup_elem(map, (const void *)&keys[key]);
}

static __inline struct state *state(void)
{
	return at(&hoist_state, 0);
}

/* Called before the program runs or after it: there is room on the stack. */
static __noinline void note(__u32 event)
{
	__u64 *count = bpf_map_lookup_elem(&hoist_events, &event);

	if (count)
		(*count)++;
}

/* Drops the frame and says why. */
static __inline int lose(__u32 event)
{
	note(event);
	return TC_ACT_SHOT;
}

#endif
