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

enum {
	/* Verdicts are counted. */
	COUNTS = 1 << 0,
	/* The program may change the frame. */
	WRITES = 1 << 1,
	/* The program calls redirect helpers. */
	REDIRECTS = 1 << 2,
};

/* The old main takes its place. */
__noinline int hoist_program(struct __sk_buff *skb)
{
	return skb->len;
}

/* What becomes of frames merged from several; the translator chooses. True drops the frame. */
__noinline int hoist_merged_run(void)
{
	note(EVENT_MERGED);
	return 0;
}

__noinline int hoist_merged_drop(void)
{
	note(EVENT_MERGED);
	return 1;
}

__noinline int hoist_merged(void)
{
	int drops = hoist_merged_run();

	/* The compiler must not know. */
	asm volatile("" : "+r"(drops));
	return drops;
}

static __noinline long make_linear(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len);
}

/* A comparison that processes without CAP_PERFMON may make too. */
static __inline int is_linear(const struct __sk_buff *skb, __u32 len)
{
	return len <= 0xffff && frame(skb) + len <= frame_end(skb);
}

static __inline void count(__u32 verdict, __u32 len)
{
	struct verdict *counter = at(&hoist_verdicts, verdict);

	if (counter) {
		counter->packets++;
		counter->bytes += len;
	}
}

static __inline int remember(struct __sk_buff *skb)
{
	void *header = frame(skb);

	if (header + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	KNOWN(skb) = IDENTITY(header);
	skb->cb[2] = 0;
	return 0;
}

static __inline int enter(struct __sk_buff *skb, int features)
{
	__u32 len, verdict;
	struct state *to;

	if (unlikely(skb->gso_size) && hoist_merged())
		return TC_ACT_SHOT;
	if (unlikely(skb->vlan_present) && push_dummy(skb))
		return lose(EVENT_VLAN_PUSH_FAILED);
	len = skb->len;
	if (unlikely(!is_linear(skb, len)) && make_linear(skb))
		return lose(EVENT_PULL_FAILED);
	if (features & WRITES && remember(skb))
		return lose(EVENT_PULL_FAILED);

	verdict = hoist_program(skb);

	if (unlikely(verdict > XDP_REDIRECT)) {
		note(EVENT_INVALID_CODE);
		verdict = XDP_ABORTED;
	}
	skb->cb[4] = verdict;
	if (features & COUNTS)
		count(verdict, len);
	if (features & REDIRECTS) {
		to = state();
		if (!to)
			return TC_ACT_SHOT;
		to->taken = to->target;
		to->target = TARGET_NONE;
	}
	if (verdict == XDP_DROP)
		return TC_ACT_SHOT;
	if (unlikely(verdict == XDP_ABORTED))
		return lose(EVENT_ABORTED);
	if (features & WRITES && unlikely(bpf_csum_update(skb, 0) >= 0))
		forget_checksum(skb);
	if (features & REDIRECTS && verdict == XDP_REDIRECT && to->taken == TARGET_CPU)
		verdict = XDP_PASS;
	if (verdict == XDP_PASS) {
		if (features & WRITES)
			return likely(is_settled(skb)) ? TC_ACT_UNSPEC : settle(skb);
		return likely(!skb->vlan_present) ? TC_ACT_UNSPEC : untag(skb);
	}
	if (verdict == XDP_REDIRECT && (!(features & REDIRECTS) || to->taken == TARGET_NONE))
		return lose(EVENT_REDIRECT_MISS);
	/* On the way out the address does not matter. */
	if (features & WRITES) {
		if (unlikely(!is_known(skb)) && refresh(skb))
			return lose(EVENT_REFRESH_FAILED);
	} else if (unlikely(skb->vlan_present) && bpf_skb_vlan_pop(skb)) {
		return lose(EVENT_REFRESH_FAILED);
	}
	if (verdict == XDP_TX)
		return bpf_redirect(skb->ifindex, 0);
	return features & REDIRECTS ? forward(skb, to) : TC_ACT_SHOT;
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

#endif
