// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Lowers the IPv4 time to live by copying bytes out of the frame and back with helpers instead of
 * through packet pointers, which works wherever in a frame of several buffers the bytes lie.
 * Frames whose time is up are dropped.
 */
#include "hoist.h"

SEC("xdp")
int xdp_bytes(struct xdp_md *ctx)
{
	struct {
		struct ethernet eth;
		struct ipv4 ip;
	} head;
	__u32 sum;

	if (bpf_xdp_load_bytes(ctx, 0, &head, sizeof(head)))
		return XDP_PASS;
	if (head.eth.protocol != be16(ETH_P_IP))
		return XDP_PASS;
	if (head.ip.ttl <= 1)
		return XDP_DROP;
	head.ip.ttl--;
	/* RFC 1141: one less in the high byte of a word is 0x0100 more in the checksum. */
	sum = head.ip.checksum + be16(0x0100);
	head.ip.checksum = sum + (sum >> 16);
	if (bpf_xdp_store_bytes(ctx, sizeof(head.eth), &head.ip, sizeof(head.ip)))
		return XDP_DROP;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
