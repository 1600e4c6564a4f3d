// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Lowers the IPv4 time to live by copying bytes out of the frame and back with helpers instead of
 * through packet pointers, which works wherever in a buffer the bytes lie. Frames whose time is up
 * are dropped.
 */
#include "tc.h"

SEC("tc")
int tc_bytes(struct __sk_buff *skb)
{
	struct {
		struct ethernet eth;
		struct ipv4 ip;
	} head;
	__u32 sum;

	if (bpf_skb_load_bytes(skb, 0, &head, sizeof(head)))
		return TC_ACT_UNSPEC;
	if (head.eth.protocol != be16(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (head.ip.ttl <= 1)
		return TC_ACT_SHOT;
	head.ip.ttl--;
	/* RFC 1141: one less in the high byte of a word is 0x0100 more in the checksum. */
	sum = head.ip.checksum + be16(0x0100);
	head.ip.checksum = sum + (sum >> 16);
	if (bpf_skb_store_bytes(skb, sizeof(head.eth), &head.ip, sizeof(head.ip), 0))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
