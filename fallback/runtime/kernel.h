/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the runtime needs to know of the kernel, spelled out so that a plain `clang -target bpf`
 * builds it. Numbers are those of linux/bpf.h and linux/pkt_cls.h.
 */
#ifndef HOIST_RUNTIME_KERNEL_H
#define HOIST_RUNTIME_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;

#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __inline inline __attribute__((always_inline))
#define __helper __attribute__((unused)) static
#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Without CAP_PERFMON the verifier lets a program move pointers by constants only, and compare those
 * that were. Built with this set to 1 the runtime keeps to that, at the price of more helper calls.
 */
#ifndef CONSTANT_OFFSETS
#define CONSTANT_OFFSETS 0
#endif

/* Keeps the compiler from taking a value apart again. */
#define IN_REGISTER(value) asm volatile("" : "+r"(value))

/*
 * Jumps where something holds that seldom does, to code that stands behind the rest. Of an unlikely
 * `if` the compiler would jump over the body, and a processor that has not run the program for a
 * while guesses that jumps are not taken.
 */
#define RARELY(left, is, right, place)                                                            \
	asm goto("if %0 " is " %1 goto %l[" #place "]" ::"r"((__u64)(left)),                      \
		 "ri"((__u64)(right))::place)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) ((__be16)__builtin_bswap16(x))
#else
#define be16(x) ((__be16)(x))
#endif

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

/* What a program at TC returns. UNSPEC hands the frame on to later programs, then to the stack. */
enum { TC_ACT_UNSPEC = -1, TC_ACT_SHOT = 2 };

enum { PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST };

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6 };

enum {
	BPF_ADJ_ROOM_MAC = 1,
	BPF_F_ADJ_ROOM_FIXED_GSO = 1 << 0,
	BPF_F_ADJ_ROOM_NO_CSUM_RESET = 1 << 5,
	BPF_F_BROADCAST = 1 << 3,
	BPF_F_EXCLUDE_INGRESS = 1 << 4,
};

enum { EFAULT = 14, EINVAL = 22 };

#define ETH_HLEN 14
#define VLAN_HLEN 4
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021AD 0x88a8

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
	__u32 unused[23];
	__u32 gso_size;
	__u32 more;
} __attribute__((aligned(8)));

_Static_assert(__builtin_offsetof(struct __sk_buff, cb) == 48, "cb");
_Static_assert(__builtin_offsetof(struct __sk_buff, data) == 76, "data");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_size) == 176, "gso_size");

/* The first words of struct bpf_devmap_val and struct bpf_cpumap_val. */
struct devmap_value {
	__u32 ifindex;
};

struct cpumap_value {
	__u32 queue_size;
};

/* The head of struct bpf_fib_lookup. */
struct fib_lookup {
	__u8 family;
	__u8 l4_protocol;
	__be16 sport;
	__be16 dport;
	__u16 tot_len;
};

__helper void *(*bpf_map_lookup_elem)(const void *map, const void *key) = (void *)1;
__helper long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from,
				     __u32 len, __u64 flags) = (void *)9;
__helper long (*bpf_clone_redirect)(struct __sk_buff *skb, __u32 ifindex, __u64 flags) =
	(void *)13;
__helper long (*bpf_skb_vlan_push)(struct __sk_buff *skb, __be16 tpid, __u16 tci) = (void *)18;
__helper long (*bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
__helper long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
__helper long (*bpf_skb_load_bytes)(const struct __sk_buff *skb, __u32 offset, void *to,
				    __u32 len) = (void *)26;
__helper long (*bpf_skb_change_type)(struct __sk_buff *skb, __u32 type) = (void *)32;
__helper long (*bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
__helper long (*bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) = (void *)39;
__helper __s64 (*bpf_csum_update)(struct __sk_buff *skb, __u32 csum) = (void *)40;
__helper long (*bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 by, __u32 mode, __u64 flags) =
	(void *)50;
__helper long (*bpf_fib_lookup)(void *ctx, struct fib_lookup *params, int size, __u32 flags) =
	(void *)69;
__helper long (*bpf_check_mtu)(void *ctx, __u32 ifindex, __u32 *mtu, __s32 by, __u64 flags) =
	(void *)163;
__helper long (*bpf_loop)(__u32 iterations, void *callback, void *context, __u64 flags) =
	(void *)181;

/* Start and end of the linear part, as pointers the verifier can bound. */
static __inline void *frame(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

static __inline void *frame_end(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

#endif
