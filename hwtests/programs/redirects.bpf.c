// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Every way of combining redirect helpers, fallbacks and verdicts. What the last helper returned is the
 * result.
 */
#include "suite.h"

enum way {
	WAY_PASS_AFTER,     /* bpf_redirect, then pass */
	WAY_TX_AFTER,       /* bpf_redirect, then transmit */
	WAY_DROP_AFTER,     /* bpf_redirect, then drop */
	WAY_FLAGS,          /* bpf_redirect with flags that do not exist */
	WAY_LAST_WINS,      /* bpf_redirect to nowhere, then to the target */
	WAY_ARRAY,          /* bpf_redirect_map with a DEVMAP, key and flags from the case */
	WAY_HASH,           /* the same with a DEVMAP_HASH */
	WAY_ARRAY_PASS,     /* bpf_redirect_map, then pass */
	WAY_MAP_WINS,       /* bpf_redirect to nowhere, then bpf_redirect_map */
	WAY_MISS_REDIRECT,  /* bpf_redirect_map without an entry, then XDP_REDIRECT all the same */
	WAY_LAST_IS_DIRECT, /* bpf_redirect_map, then bpf_redirect to the target */
};

struct order {
	enum way way;
	__u32 target;
	__u64 key;
	__u64 flags;
};

CONFIG(struct order);
RESULT(__s64);

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 8);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 8);
} ports_hash SEC(".maps");

#define NOWHERE 9999

SEC("xdp")
int xdp_redirects(struct xdp_md *ctx)
{
	struct order *order = only(&config);
	__s64 *got = only(&result);

	if (!order || !got)
		return XDP_ABORTED;
	switch (order->way) {
	case WAY_PASS_AFTER:
		*got = bpf_redirect(order->target, 0);
		return XDP_PASS;
	case WAY_TX_AFTER:
		*got = bpf_redirect(order->target, 0);
		return XDP_TX;
	case WAY_DROP_AFTER:
		*got = bpf_redirect(order->target, 0);
		return XDP_DROP;
	case WAY_FLAGS:
		*got = bpf_redirect(order->target, order->flags);
		break;
	case WAY_LAST_WINS:
		bpf_redirect(NOWHERE, 0);
		*got = bpf_redirect(order->target, 0);
		break;
	case WAY_ARRAY:
		*got = bpf_redirect_map(&ports, order->key, order->flags);
		break;
	case WAY_HASH:
		*got = bpf_redirect_map(&ports_hash, order->key, order->flags);
		break;
	case WAY_ARRAY_PASS:
		*got = bpf_redirect_map(&ports, order->key, order->flags);
		return XDP_PASS;
	case WAY_MAP_WINS:
		bpf_redirect(NOWHERE, 0);
		*got = bpf_redirect_map(&ports, order->key, order->flags);
		break;
	case WAY_MISS_REDIRECT:
		*got = bpf_redirect_map(&ports, order->key, order->flags);
		return XDP_REDIRECT;
	case WAY_LAST_IS_DIRECT:
		bpf_redirect_map(&ports, order->key, order->flags);
		*got = bpf_redirect(order->target, 0);
		break;
	}
	return *got;
}

char _license[] SEC("license") = "Dual MIT/GPL";
