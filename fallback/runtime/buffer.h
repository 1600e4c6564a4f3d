/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the kernel knows of a frame beyond its bytes, kept in line with them.
 *
 * While the program runs, the whole frame is linear data, VLAN tags included. Where the kernel had
 * taken the outer tag out, an empty one stands in its place in the buffer ("dummy": VLAN 0); any
 * tag in the buffer while the program runs is one of no meaning.
 *
 * Control words: cb[0] and cb[1] hold, as one word of 64 bits, the destination address as it came in
 * and below it the EtherType that skb->protocol stands for; cb[2] by how much the frame's start has
 * moved down (bytes, signed); cb[3] is scratch of the resizing routines; cb[4] receives the verdict.
 */
#ifndef HOIST_RUNTIME_BUFFER_H
#define HOIST_RUNTIME_BUFFER_H

#include "maps.h"

/*
 * Where bpf_skb_vlan_push writes a tag into the data, older kernels leave the network header with the
 * bytes it was at, now 18 bytes behind the frame's start; newer ones move it, so that it stays 14
 * behind (skb_vlan_push, net/core/skbuff.c). bpf_skb_adjust_room cuts at the network header, and the
 * stack begins to read there. For older kernels the runtime is built with this set to 1: no tag is
 * written by the helper unless the helper takes it out again before anything else happens.
 */
#ifndef PUSH_LEAVES_NETWORK_HEADER
#define PUSH_LEAVES_NETWORK_HEADER 0
#endif

/*
 * Loads of the size that is wanted, wherever the frame lies in memory: hoist runs where the kernel
 * takes them (CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS).
 */
#define PROTOCOL(frame) (*(__be16 *)((frame) + 12))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DESTINATION(frame) (*(__u64 *)(frame) << 16)
#else
#define DESTINATION(frame) (*(__u64 *)(frame) & ~0xffffULL)
#endif
/* The address in the upper 48 bits, the EtherType in the lower 16. */
#define IDENTITY(frame) (DESTINATION(frame) | PROTOCOL(frame))
#define KNOWN(skb) (*(__u64 *)(skb)->cb)

static __inline int is_vlan(__u32 protocol)
{
	return protocol == be16(ETH_P_8021Q) || protocol == be16(ETH_P_8021AD);
}

static __inline void know_protocol(struct __sk_buff *skb, __u32 protocol)
{
	KNOWN(skb) = (KNOWN(skb) & ~0xffffULL) | (__be16)protocol;
}

static __inline long push_dummy(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, be16(ETH_P_8021Q), 0);
}

/*
 * Makes skb->protocol and the VLAN tag what the kernel would have made of these bytes. There is no
 * helper for it, but taking a tag out of the data derives the protocol from what follows, so a
 * dummy is put in and taken out. The second removal drops the dummy that is left, and takes out the
 * frame's own outer tag, if it has one.
 */
static __noinline long refresh(struct __sk_buff *skb)
{
	void *header = frame(skb);

	if (header + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	if (PROTOCOL(header) == (__be16)KNOWN(skb))
		return skb->vlan_present ? bpf_skb_vlan_pop(skb) : 0;
	if (!skb->vlan_present && push_dummy(skb))
		return -EINVAL;
	if (push_dummy(skb) || bpf_skb_vlan_pop(skb))
		return -EINVAL;
	return bpf_skb_vlan_pop(skb);
}

/* Whether the protocol and the tag that the kernel knows still hold. */
static __inline int is_known(const struct __sk_buff *skb)
{
	void *header = frame(skb);

	if (header + ETH_HLEN > frame_end(skb) || skb->vlan_present)
		return 0;
	return (__be16)KNOWN(skb) == PROTOCOL(header);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GROUP (1ULL << 16)
#else
#define GROUP (1ULL << 56)
#endif

/* The packet type that eth_type_trans gives a frame for this address. */
static __inline __u32 packet_type(__u64 destination)
{
	const __u64 *own;

	if (destination & GROUP)
		return destination == ~0xffffULL ? PACKET_BROADCAST : PACKET_MULTICAST;
	own = at(&hoist_device, 0);
	return own && DESTINATION(own) == destination ? PACKET_HOST : PACKET_OTHERHOST;
}

/* Hands a frame that may have changed to the stack. */
static __noinline int settle(struct __sk_buff *skb)
{
	void *header = frame(skb);
	__u64 destination;

	if (header + ETH_HLEN > frame_end(skb))
		return lose(EVENT_REFRESH_FAILED);
	destination = DESTINATION(header);
	RARELY(PROTOCOL(header), "!=", (__be16)KNOWN(skb), changed);
	RARELY(skb->vlan_present, "==", 0, untagged);
	if (bpf_skb_vlan_pop(skb))
		return lose(EVENT_REFRESH_FAILED);
untagged:
	RARELY(KNOWN(skb) & ~0xffffULL, "!=", destination, readdressed);
	return TC_ACT_UNSPEC;
changed:
	if (refresh(skb))
		return lose(EVENT_REFRESH_FAILED);
	goto untagged;
readdressed:
	bpf_skb_change_type(skb, packet_type(destination));
	return TC_ACT_UNSPEC;
}

/* Hands a frame that cannot have changed to the stack: only the tag goes back to its place. */
static __noinline int untag(struct __sk_buff *skb)
{
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return lose(EVENT_REFRESH_FAILED);
	return TC_ACT_UNSPEC;
}

/*
 * A sum over the frame that the NIC computed (CHECKSUM_COMPLETE) is wrong after the program wrote
 * to it; growing the frame makes the kernel forget it.
 */
static __noinline void forget_checksum(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	if (skb->gso_size || bpf_skb_change_tail(skb, len + 1, 0))
		return;
	bpf_skb_change_tail(skb, len, 0);
}

#endif
