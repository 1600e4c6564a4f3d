/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The new main: makes the buffer look like an XDP frame, runs the old main, and does what its verdict
 * says. It uses no stack, since the old main may use all there is. A program pays for what it uses
 * only: one main for each set of features.
 */
#ifndef HOIST_RUNTIME_MAIN_H
#define HOIST_RUNTIME_MAIN_H

#include "buffer.h"
#include "redirect.h"
#include "resize.h"

enum {
	/* Verdicts are counted. */
	COUNTS = 1 << 0,
	/* The program may change the frame. */
	WRITES = 1 << 1,
	/* The program calls redirect helpers. */
	REDIRECTS = 1 << 2,
	/* Frames merged from several are dropped, however short. Otherwise only long ones are looked at:
	 * to count them. */
	DROPS_MERGED = 1 << 3,
};

/* The longest frame of an interface whose MTU is 1500. */
#define FRAME_LEN 1514

/* The old main takes its place. The compiler must think that it may change everything. */
__noinline int hoist_program(struct __sk_buff *skb)
{
	asm volatile("" : : "r"(skb) : "memory");
	return skb->len;
}

static __noinline void note_merged(const struct __sk_buff *skb)
{
	if (skb->gso_size)
		note(EVENT_MERGED);
}

static __noinline long make_linear(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len);
}

static __inline void add(struct verdict *counter, __u32 len)
{
	if (counter) {
		counter->packets++;
		counter->bytes += len;
	}
}

static __noinline void count_by_stack(__u32 verdict, __u32 len)
{
	add(bpf_map_lookup_elem(&hoist_verdicts, &verdict), len);
}

static __inline void count(__u32 verdict, __u32 len)
{
	if (CONSTANT_OFFSETS)
		count_by_stack(verdict, len);
	else
		add(at(&hoist_verdicts, verdict), len);
}

static __inline int remember(struct __sk_buff *skb)
{
	void *header = frame(skb);

	if (header + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	KNOWN(skb) = IDENTITY(header);
	if (PUSH_LEAVES_NETWORK_HEADER && skb->vlan_present)
		know_protocol(skb, skb->protocol);
	skb->cb[2] = 0;
	return 0;
}

/* Puts the tag beside the data back into it. A program that does not write cannot see the difference. */
static __inline long put_tag_back(struct __sk_buff *skb, int writes)
{
	return PUSH_LEAVES_NETWORK_HEADER && writes ? write_tag(skb) : push_dummy(skb);
}

static __inline int enter(struct __sk_buff *skb, int features)
{
	__u64 len, verdict;
	struct state *to;
	void *header;

	if (features & DROPS_MERGED && unlikely(skb->gso_size))
		return lose(EVENT_MERGED);
	RARELY(skb->vlan_present, "!=", 0, tagged);
untagged:
	len = skb->len;
	IN_REGISTER(len);
	RARELY(len, ">", FRAME_LEN, long_frame);
	if (CONSTANT_OFFSETS)
		goto split;
	RARELY(frame(skb) + len, ">", frame_end(skb), split);
linear:
	if (features & WRITES && remember(skb))
		return lose(EVENT_PULL_FAILED);

	verdict = (__u32)hoist_program(skb);

	RARELY(verdict, ">", XDP_REDIRECT, invalid);
valid:
	skb->cb[4] = verdict;
	if (features & COUNTS)
		count(verdict, len);
	if (features & REDIRECTS) {
		to = state();
		if (!to)
			return TC_ACT_SHOT;
		if (verdict != XDP_REDIRECT)
			to->target = TARGET_NONE;
	}
	if (verdict == XDP_DROP)
		return TC_ACT_SHOT;
	if (unlikely(verdict == XDP_ABORTED))
		return lose(EVENT_ABORTED);
	/* The interface that a frame goes back to does not look at the sum. */
	if (features & WRITES && verdict != XDP_TX)
		RARELY(bpf_csum_update(skb, 0), "s>=", 0, summed);
unsummed:
	if (verdict == XDP_PASS) {
		if (!(features & WRITES))
			return likely(!skb->vlan_present) ? TC_ACT_UNSPEC : untag(skb);
		header = frame(skb);
		if (unlikely(header + ETH_HLEN > frame_end(skb)))
			return settle(skb);
		RARELY(KNOWN(skb), "!=", IDENTITY(header), unsettled);
		RARELY(skb->vlan_present, "!=", 0, dummy);
		return TC_ACT_UNSPEC;
	}
	if (verdict == XDP_REDIRECT) {
		if (!(features & REDIRECTS))
			return lose(EVENT_REDIRECT_MISS);
		RARELY(to->target, "!=", TARGET_DEVICE, diverted);
		to->target = TARGET_NONE;
	}
	if (unlikely(!(features & WRITES ? is_known(skb) : !skb->vlan_present)) &&
	    (features & WRITES ? refresh(skb) : bpf_skb_vlan_pop(skb)))
		return lose(EVENT_REFRESH_FAILED);
	if (verdict == XDP_TX || !(features & REDIRECTS))
		return bpf_redirect(skb->ifindex, 0);
	return forward(skb, to);

diverted:
	return features & WRITES ? divert_written(skb, to) : divert_read(skb, to);
tagged:
	if (put_tag_back(skb, features & WRITES))
		return lose(EVENT_VLAN_PUSH_FAILED);
	goto untagged;
long_frame:
	if (!(features & DROPS_MERGED))
		note_merged(skb);
	if (!CONSTANT_OFFSETS && len <= 0xffff && frame(skb) + len <= frame_end(skb))
		goto linear;
split:
	if (make_linear(skb))
		return lose(EVENT_PULL_FAILED);
	goto linear;
invalid:
	note(EVENT_INVALID_CODE);
	verdict = XDP_ABORTED;
	goto valid;
summed:
	forget_checksum(skb);
	goto unsummed;
unsettled:
	return settle(skb);
dummy:
	return bpf_skb_vlan_pop(skb) ? lose(EVENT_REFRESH_FAILED) : TC_ACT_UNSPEC;
}

#define MAIN(number)                                                                              \
	SEC("tc") int hoist_main_##number(struct __sk_buff *skb)                                  \
	{                                                                                         \
		return enter(skb, number);                                                        \
	}

MAIN(0)
MAIN(1)
MAIN(2)
MAIN(3)
MAIN(4)
MAIN(5)
MAIN(6)
MAIN(7)
MAIN(8)
MAIN(9)
MAIN(10)
MAIN(11)
MAIN(12)
MAIN(13)
MAIN(14)
MAIN(15)

#endif
