// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Subprograms of both kinds: a static one, verified at each call, that gets packet pointers through
 * a structure on its caller's stack; and a global one, verified once from its types alone.
 */
#include "tc.h"

struct cursor {
	void *at;
	void *end;
};

__u64 by_kind[4];

/* The ethertype under the cursor, or 0. */
static __noinline __u16 ethertype(const struct cursor *cursor)
{
	struct ethernet *eth = cursor->at;

	if ((void *)(eth + 1) > cursor->end)
		return 0;
	return be16(eth->protocol);
}

__noinline int account(struct __sk_buff *skb, __u32 kind)
{
	if (!skb || kind >= 4)
		return TC_ACT_SHOT;
	__sync_fetch_and_add(&by_kind[kind], 1);
	return skb->len < 14 ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int tc_subprog(struct __sk_buff *skb)
{
	struct cursor cursor = { .at = packet(skb), .end = packet_end(skb) };

	switch (ethertype(&cursor)) {
	case ETH_P_IP:
		return account(skb, 1);
	case ETH_P_IPV6:
		return account(skb, 2);
	case ETH_P_8021Q:
		return account(skb, 3);
	default:
		return account(skb, 0);
	}
}

char _license[] SEC("license") = "Dual MIT/GPL";
