// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Gives UDP over IPv4 another source address and mends both checksums with bpf_csum_diff, as a load
 * balancer does. Needs much of the stack.
 */
#include "suite.h"

struct udp {
	__be16 source;
	__be16 destination;
	__be16 length;
	__u16 checksum;
} __packed;

const volatile __be32 source = be32(0x0a090009);

#define STACK_BYTES 400

static __inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int xdp_checksum(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct ipv4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);
	volatile __u8 stack[STACK_BYTES];
	__be32 from, to = source;
	__s64 sum;

	if ((void *)(udp + 1) > frame_end(ctx) || eth->protocol != be16(ETH_P_IP))
		return XDP_PASS;
	if (ip->version_ihl != 0x45 || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	stack[0] = 1;
	stack[STACK_BYTES - 1] = 2;
	from = ip->source;
	ip->source = to;
	sum = bpf_csum_diff(&from, 4, &to, 4, (__u16)~ip->checksum);
	ip->checksum = fold(sum);
	if (udp->checksum) {
		sum = bpf_csum_diff(&from, 4, &to, 4, (__u16)~udp->checksum);
		udp->checksum = fold(sum);
	}
	return stack[0] + stack[STACK_BYTES - 1] == 3 ? XDP_PASS : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
