// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Swaps the MAC addresses and sends every frame back where it came from: a reflector.
 */
#include "tc.h"

SEC("tc")
int tc_swap_tx(struct __sk_buff *skb)
{
	struct ethernet *eth = packet(skb);
	__u8 address[6];

	if ((void *)(eth + 1) > packet_end(skb))
		return TC_ACT_SHOT;
	__builtin_memcpy(address, eth->destination, 6);
	__builtin_memcpy(eth->destination, eth->source, 6);
	__builtin_memcpy(eth->source, address, 6);
	return bpf_redirect(skb->ifindex, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
