/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a program for TC ingress needs besides ../../bpf/programs/hoist.h, whose packet formats and
 * map attributes it shares. Numbers are those of linux/bpf.h and linux/pkt_cls.h.
 */
#ifndef HOIST_TC_H
#define HOIST_TC_H

#include "hoist.h"

/* Up to `data_end`; what lies behind is of no use to these programs, `data_meta` included. */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
};

/* Later programs and the stack still get the frame: what XDP_PASS means. */
#define TC_ACT_UNSPEC (-1)
#define TC_ACT_SHOT 2

#define BPF_ADJ_ROOM_MAC 1
#define BPF_F_ADJ_ROOM_FIXED_GSO 1
#define BPF_F_ADJ_ROOM_NO_CSUM_RESET (1 << 5)

__helper long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from,
				     __u32 len, __u64 flags) = (void *)9;
__helper long (*bpf_skb_vlan_push)(struct __sk_buff *skb, __be16 proto, __u16 tci) = (void *)18;
__helper long (*bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
__helper long (*bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) =
	(void *)26;
__helper long (*bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
__helper long (*bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 delta, __u32 mode,
				     __u64 flags) = (void *)50;

/* Start and end of the frame's linear part, as pointers the verifier can bound. */
static __inline void *packet(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

static __inline void *packet_end(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

#endif
