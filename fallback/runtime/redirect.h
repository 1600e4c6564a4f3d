/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * bpf_redirect and bpf_redirect_map. They note the target; the main program sends the frame there
 * once the program has returned, as XDP does.
 */
#ifndef HOIST_RUNTIME_REDIRECT_H
#define HOIST_RUNTIME_REDIRECT_H

#include "buffer.h"

/* Lower bits of the flags of bpf_redirect_map: the verdict where the map has no such entry. */
#define MISS (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX)

__noinline long hoist_redirect(__u32 ifindex, __u64 flags)
{
	struct state *to = state();

	if (flags || !to)
		return XDP_ABORTED;
	to->target = TARGET_DEVICE;
	to->index = ifindex;
	return XDP_REDIRECT;
}

/* `number` is what the main program knows the devmap by. */
__noinline long hoist_redirect_devmap(void *map, __u32 key, __u64 flags, __u32 number)
{
	/* One register: with two the map would need the stack. */
	__u64 both = (__u64)number << 32 | key;
	const struct devmap_value *entry;
	struct state *to;

	IN_REGISTER(both);
	to = state();
	if (flags & ~(__u64)(MISS | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS) || !to)
		return XDP_ABORTED;
	to->key = both;
	RARELY(flags & BPF_F_BROADCAST, "!=", 0, broadcast);
	entry = bpf_map_lookup_elem(map, &to->key);
	RARELY(entry, "==", 0, miss);
	to->target = TARGET_DEVICE;
	to->index = entry->ifindex;
	return XDP_REDIRECT;
miss:
	to->target = TARGET_NONE;
	return flags & MISS;
broadcast:
	to->target = TARGET_BROADCAST;
	to->index = both >> 32;
	to->flags = flags;
	return XDP_REDIRECT;
}

/* The map is the array that stands for the cpumap. */
__noinline long hoist_redirect_cpumap(void *map, __u32 key, __u64 flags)
{
	struct state *to = state();
	const struct cpumap_value *entry;

	if (flags & ~(__u64)MISS || !to)
		return XDP_ABORTED;
	to->key = key;
	entry = bpf_map_lookup_elem(map, &to->key);
	if (!entry || !entry->queue_size) {
		to->target = TARGET_NONE;
		return flags & MISS;
	}
	to->target = TARGET_CPU;
	return XDP_REDIRECT;
}

/*
 * XDP lets frames pass that exceed the MTU by a VLAN tag (xdp_ok_fwd_dev). A tag that is out of the
 * data has been taken off the length already.
 */
static __inline __s32 mtu_slack(const struct __sk_buff *skb)
{
	return skb->vlan_present ? 0 : -VLAN_HLEN;
}

/* No interface that carries IP takes less (IPV4_MIN_MTU), so shorter frames need no check. */
#define LEAST_MTU 68

struct broadcast {
	struct __sk_buff *skb;
	void *map;
	__u32 excluded;
	__s32 slack;
};

static long send_copy(__u64 index, struct broadcast *to)
{
	__u32 key = index, mtu = 0;
	const struct devmap_value *entry = bpf_map_lookup_elem(to->map, &key);

	if (!entry || entry->ifindex == to->excluded)
		return 0;
	key = entry->ifindex;
	if (bpf_check_mtu(to->skb, key, &mtu, to->slack, 0))
		note(EVENT_MTU_DROP);
	else
		bpf_clone_redirect(to->skb, key, 0);
	return 0;
}

/* Sends a copy to every entry of a devmap. */
__noinline long hoist_broadcast_devmap(struct __sk_buff *skb, void *map, __u32 entries, __u32 flags)
{
	struct broadcast to = {
		.skb = skb,
		.map = map,
		.excluded = flags & BPF_F_EXCLUDE_INGRESS ? skb->ifindex : 0,
		.slack = mtu_slack(skb),
	};

	bpf_loop(entries, send_copy, &to, 0);
	return 0;
}

/* The translator puts in its place a function that knows the program's devmaps by number. */
__noinline long hoist_broadcast(struct __sk_buff *skb, __u32 number, __u32 flags)
{
	return hoist_broadcast_devmap(skb, (void *)(long)number, 0, flags);
}

/* Carries out what is no redirect to one interface. */
static __inline int divert(struct __sk_buff *skb, struct state *to, int writes)
{
	__u32 target = to->target;

	to->target = TARGET_NONE;
	if (target == TARGET_NONE)
		return lose(EVENT_REDIRECT_MISS);
	if (target == TARGET_CPU)
		return writes ? settle(skb) : untag(skb);
	if (writes ? refresh(skb) != 0 : untag(skb) != TC_ACT_UNSPEC)
		return lose(EVENT_REFRESH_FAILED);
	hoist_broadcast(skb, to->index, to->flags);
	return TC_ACT_SHOT;
}

static __noinline int divert_read(struct __sk_buff *skb, struct state *to)
{
	return divert(skb, to, 0);
}

static __noinline int divert_written(struct __sk_buff *skb, struct state *to)
{
	return divert(skb, to, 1);
}

/* Sends a settled frame to the interface that the program wants. */
static __inline int forward(struct __sk_buff *skb, struct state *to)
{
	__u32 index = to->index;

	RARELY(skb->len, ">", ETH_HLEN + LEAST_MTU, measure);
fits:
	return bpf_redirect(index, 0);
measure:
	to->mtu = 0;
	if (bpf_check_mtu(skb, index, &to->mtu, mtu_slack(skb), 0))
		return lose(EVENT_MTU_DROP);
	goto fits;
}

#endif
