/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* bpf_xdp_adjust_head and bpf_xdp_adjust_tail. */
#ifndef HOIST_RUNTIME_RESIZE_H
#define HOIST_RUNTIME_RESIZE_H

#include "buffer.h"

/* XDP_PACKET_HEADROOM without struct xdp_frame: how far a native program can move the start. */
#define HEADROOM (256 - 40)
/* How long a frame can be in the page it shares with its headroom and skb_shared_info. */
#define PAGE_ROOM (4096 - 256 - 320)
/* What bpf_skb_adjust_room takes off at once, and more than a page of frame leaves to take. */
#define LONGEST_CUT 0xfff
/* struct iphdr and struct ipv6hdr: bpf_skb_adjust_room leaves no less behind the MAC header. */
#define IP_LEAST 20
#define IPV6_LEAST 40

/* The first 14 bytes of a frame, in two registers: there is no stack to keep them on. */
#define HEADER_LOW(frame) (*(__u64 *)(frame))
#define HEADER_HIGH(frame) (*(__u32 *)((frame) + 8) | (__u64)PROTOCOL(frame) << 32)

/* With constant offsets only, the bytes wait in the state in place of registers. */
static __inline long get_header(struct __sk_buff *skb, __u32 offset, __u64 *low, __u64 *high)
{
	struct state *saved;
	void *from;

	if (CONSTANT_OFFSETS) {
		saved = state();
		return saved ? bpf_skb_load_bytes(skb, offset, saved->header, ETH_HLEN) : -EINVAL;
	}
	from = frame(skb) + offset;
	if (from + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	*low = HEADER_LOW(from);
	*high = HEADER_HIGH(from);
	IN_REGISTER(*low);
	IN_REGISTER(*high);
	return 0;
}

static __inline long put_header(struct __sk_buff *skb, __u32 offset, __u64 low, __u64 high)
{
	struct state *saved;
	void *to;

	if (CONSTANT_OFFSETS) {
		saved = state();
		return saved ? bpf_skb_store_bytes(skb, offset, saved->header, ETH_HLEN, 0)
			     : -EINVAL;
	}
	to = frame(skb) + offset;
	if (to + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	HEADER_LOW(to) = low;
	*(__u32 *)(to + 8) = high;
	PROTOCOL(to) = high >> 32;
	return 0;
}

/*
 * bpf_skb_adjust_room takes IP only, so a frame of another protocol becomes IP until the program is
 * done. The bytes this writes to are not the program's any more, or are saved.
 */
static __inline long make_ip(struct __sk_buff *skb)
{
	void *header = frame(skb);
	long error;

	if (header + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	PROTOCOL(header) = be16(ETH_P_IP);
	error = refresh(skb);
	know_protocol(skb, skb->protocol);
	return error;
}

/* Whether bpf_skb_adjust_room takes this frame when so many bytes will follow the MAC header. */
static __inline int is_ip(const struct __sk_buff *skb, __u32 rest)
{
	return skb->protocol == be16(ETH_P_IP) ||
	       (skb->protocol == be16(ETH_P_IPV6) && rest >= IPV6_LEAST);
}

static __inline long adjust_room(struct __sk_buff *skb, __s32 by)
{
	return bpf_skb_adjust_room(skb, by, BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_NO_CSUM_RESET | BPF_F_ADJ_ROOM_FIXED_GSO);
}

/*
 * Writes the tag beside the data where it was in the frame, without moving the network header out of
 * place. The tag stays in the buffer as well, and skb->protocol is that of IP.
 */
static __noinline long write_tag(struct __sk_buff *skb)
{
	void *header = frame(skb);
	__u32 type;

	if (header + ETH_HLEN > frame_end(skb))
		return -EINVAL;
	type = PROTOCOL(header);
	if (!is_ip(skb, IPV6_LEAST)) {
		PROTOCOL(header) = be16(ETH_P_IP);
		/* In and out again: the protocol is derived from the data. */
		if (push_dummy(skb) || bpf_skb_vlan_pop(skb))
			return -EINVAL;
	}
	if (adjust_room(skb, VLAN_HLEN))
		return -EINVAL;
	header = frame(skb);
	if (header + ETH_HLEN + VLAN_HLEN > frame_end(skb))
		return -EINVAL;
	PROTOCOL(header) = skb->vlan_proto;
	*(__be16 *)(header + ETH_HLEN) = be16(skb->vlan_tci);
	*(__be16 *)(header + ETH_HLEN + 2) = type;
	return 0;
}

/* Cuts four bytes off a tagged frame: what taking a tag out does, to any protocol. */
static __inline long cut_tag(struct __sk_buff *skb)
{
	RARELY(skb->vlan_present, "==", 0, untagged);
tagged:
	if (bpf_skb_vlan_pop(skb))
		return -EINVAL;
	know_protocol(skb, skb->protocol);
	return 0;
untagged:
	if (push_dummy(skb))
		return -EINVAL;
	goto tagged;
}

/*
 * Cuts where less than an IP header stays, which bpf_skb_adjust_room refuses: the end lends the rest
 * meanwhile. Taking it off again is no cut into the transport header, which has moved to the front.
 */
static __noinline long cut_short(struct __sk_buff *skb, __u32 rest)
{
	if (bpf_skb_change_tail(skb, skb->len + IP_LEAST, 0))
		return -EINVAL;
	if (!is_ip(skb, IP_LEAST) && make_ip(skb))
		return -EINVAL;
	if (adjust_room(skb, -(__s32)skb->cb[3]))
		return -EINVAL;
	return bpf_skb_change_tail(skb, ETH_HLEN + rest, 0);
}

/* `four`: by four bytes, maybe. */
static __inline long cut(struct __sk_buff *skb, __u32 by, __u32 rest, int four)
{
	if (four && by == VLAN_HLEN) {
		RARELY(skb->protocol, "!=", be16(ETH_P_8021Q), no_customer);
tag:
		return cut_tag(skb);
no_customer:
		if (skb->protocol == be16(ETH_P_8021AD))
			goto tag;
	}
	RARELY(rest, "<", IP_LEAST, little);
	RARELY(skb->protocol, "!=", be16(ETH_P_IP), other);
	return adjust_room(skb, -(__s32)skb->cb[3]);
little:
	return cut_short(skb, rest);
other:
	if (unlikely(!is_ip(skb, rest)) && make_ip(skb))
		return -EINVAL;
	by = skb->cb[3];
	IN_REGISTER(by);
	return adjust_room(skb, -(__s32)by);
}

/* Moves the start up. The helpers cut behind the MAC header, so the new one is put in place. */
static __inline long shrink_head(struct __sk_buff *skb, __u32 by, int four)
{
	__u64 low = 0, high = 0;

	if (by > LONGEST_CUT || skb->len < by + ETH_HLEN || get_header(skb, by, &low, &high))
		return -EINVAL;
	skb->cb[2] -= by;
	skb->cb[3] = by;
	if (cut(skb, by, skb->len - by - ETH_HLEN, four))
		return -EINVAL;
	return put_header(skb, 0, low, high);
}

/* Inserts four bytes: what putting a tag in does, to any protocol. */
static __inline long insert_tag(struct __sk_buff *skb)
{
	RARELY(skb->vlan_present, "!=", 0, tagged);
	if (push_dummy(skb))
		return -EINVAL;
tagged:
	if (push_dummy(skb))
		return -EINVAL;
	know_protocol(skb, skb->protocol);
	return 0;
}

static __inline long insert(struct __sk_buff *skb, __u32 by)
{
	if (by == VLAN_HLEN && !PUSH_LEAVES_NETWORK_HEADER)
		return insert_tag(skb);
	RARELY(skb->protocol, "!=", be16(ETH_P_IP), other);
	return adjust_room(skb, skb->cb[3]);
other:
	if (unlikely(!is_ip(skb, IPV6_LEAST)) && make_ip(skb))
		return -EINVAL;
	by = skb->cb[3];
	IN_REGISTER(by);
	return adjust_room(skb, by);
}

/* Moves the start down. */
static __inline long grow_head(struct __sk_buff *skb, __u32 by)
{
	__u64 low = 0, high = 0;

	if (by > HEADROOM + LONGEST_CUT || (__s32)(skb->cb[2] + by) > HEADROOM ||
	    get_header(skb, 0, &low, &high))
		return -EINVAL;
	skb->cb[2] += by;
	skb->cb[3] = by;
	if (insert(skb, by))
		return -EINVAL;
	if (!__builtin_constant_p(by))
		by = skb->cb[3];
	if (by > HEADROOM + LONGEST_CUT)
		return -EINVAL;
	return put_header(skb, by, low, high);
}

__noinline long hoist_adjust_head(struct __sk_buff *skb, __s32 by)
{
	if (by > 0)
		return shrink_head(skb, by, 1);
	return by ? grow_head(skb, -by) : 0;
}

/* By how much is known when the program is translated: four bytes up, four down, more up, more down. */
__noinline long hoist_adjust_head_cut_four(struct __sk_buff *skb, __s32 by)
{
	return shrink_head(skb, VLAN_HLEN, 1);
}

__noinline long hoist_adjust_head_insert_four(struct __sk_buff *skb, __s32 by)
{
	return grow_head(skb, VLAN_HLEN);
}

__noinline long hoist_adjust_head_cut_many(struct __sk_buff *skb, __s32 by)
{
	if (by <= VLAN_HLEN)
		return -EINVAL;
	/* One comparison for both of its limits would leave the verifier without either. */
	IN_REGISTER(by);
	return shrink_head(skb, by, 0);
}

__noinline long hoist_adjust_head_insert_many(struct __sk_buff *skb, __s32 by)
{
	return by < -VLAN_HLEN ? grow_head(skb, -by) : -EINVAL;
}

__noinline long hoist_adjust_tail(struct __sk_buff *skb, __s32 by)
{
	__s64 len = (__s64)skb->len + by;

	if (len < ETH_HLEN || (by > 0 && len > PAGE_ROOM + (__s32)skb->cb[2]))
		return -EINVAL;
	return bpf_skb_change_tail(skb, len, 0) ? -EINVAL : 0;
}

#endif
