// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Asks the kernel about the route of an IPv4 frame, the MTU of an interface, and the UDP socket the frame is
 * for.
 */
#include "suite.h"

/* struct bpf_fib_lookup of linux/bpf.h, for IPv4. */
struct route {
	__u8 family;
	__u8 l4_protocol;
	__be16 sport;
	__be16 dport;
	__u16 tot_len;
	__u32 ifindex;
	__u32 tos;
	__be32 source;
	__u32 source_rest[3];
	__be32 destination;
	__u32 destination_rest[3];
	__be16 vlan_proto;
	__be16 vlan_tci;
	__u8 smac[6];
	__u8 dmac[6];
};

/* struct bpf_sock_tuple of linux/bpf.h, for IPv4. */
struct tuple {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
};

struct question {
	__u32 mtu_of;
	__s32 more;
	__u32 tot_len;
};

struct answer {
	__s64 fib;
	__u32 fib_ifindex;
	__u32 fib_tot_len;
	__u8 source[6];
	__u8 destination[6];
	__s32 mtu_check;
	__u32 mtu;
	__u32 socket;
};

CONFIG(struct question);
RESULT(struct answer);

SEC("xdp")
int xdp_lookups(struct xdp_md *ctx)
{
	struct ethernet *eth = frame(ctx);
	struct ipv4 *ip = (void *)(eth + 1);
	struct ports *ports = (void *)(ip + 1);
	struct question *question = only(&config);
	struct answer *answer = only(&result);
	struct route route = { .family = 2 };
	struct tuple tuple = {};
	__u32 mtu = 0;
	void *socket;

	if (!question || !answer || (void *)(ports + 1) > frame_end(ctx))
		return XDP_ABORTED;
	route.l4_protocol = ip->protocol;
	route.tot_len = question->tot_len;
	route.ifindex = ctx->ingress_ifindex;
	route.source = ip->source;
	route.destination = ip->destination;
	answer->fib = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	answer->fib_ifindex = route.ifindex;
	answer->fib_tot_len = route.tot_len;
	if (!answer->fib) {
		__builtin_memcpy(answer->source, route.smac, 6);
		__builtin_memcpy(answer->destination, route.dmac, 6);
	}
	answer->mtu_check = bpf_check_mtu(ctx, question->mtu_of, &mtu, question->more, 0);
	answer->mtu = mtu;

	tuple.source = ip->source;
	tuple.destination = ip->destination;
	tuple.source_port = ports->source;
	tuple.destination_port = ports->destination;
	socket = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple), -1, 0);
	if (socket) {
		answer->socket = 1;
		bpf_sk_release(socket);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
