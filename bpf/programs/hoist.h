/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the programs in this directory need to know of the kernel, spelled out so that a plain
 * `clang -target bpf` builds them: no kernel headers, no libbpf.
 *
 * Numbers are those of linux/bpf.h; helper functions are called by number.
 */
#ifndef HOIST_H
#define HOIST_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;

/* Network byte order, by name: the type says what the bytes on the wire mean. */
typedef __u16 __be16;
typedef __u32 __be32;

#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __inline inline __attribute__((always_inline))
#define __packed __attribute__((packed))
#define __helper __attribute__((unused)) static

/* Attributes of a map declared in section ".maps": a number is the size of an array type. */
#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name
#define __array(name, type) typeof(type) *name[]

/* Host to network order for constants and variables (the targets in use are little-endian). */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) ((__be16)__builtin_bswap16(x))
#define be32(x) ((__be32)__builtin_bswap32(x))
#else
#define be16(x) ((__be16)(x))
#define be32(x) ((__be32)(x))
#endif

enum xdp_action {
	XDP_ABORTED = 0,
	XDP_DROP = 1,
	XDP_PASS = 2,
	XDP_TX = 3,
	XDP_REDIRECT = 4,
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define BPF_F_NO_PREALLOC 1

__helper void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
__helper long (*bpf_tail_call)(void *ctx, void *prog_array, __u32 index) = (void *)12;
__helper long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
__helper long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
__helper long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
__helper long (*bpf_xdp_adjust_meta)(struct xdp_md *ctx, int delta) = (void *)54;
__helper long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
__helper void *(*bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
__helper void (*bpf_ringbuf_submit)(void *record, __u64 flags) = (void *)132;
__helper long (*bpf_loop)(__u32 iterations, void *callback, void *context, __u64 flags) = (void *)181;
__helper __u64 (*bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188;
__helper long (*bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *to, __u32 len) =
	(void *)189;
__helper long (*bpf_xdp_store_bytes)(struct xdp_md *ctx, __u32 offset, void *from, __u32 len) =
	(void *)190;

/* Start and end of the frame's linear part, as pointers the verifier can bound. */
static __inline void *frame(const struct xdp_md *ctx)
{
	return (void *)(long)ctx->data;
}

static __inline void *frame_end(const struct xdp_md *ctx)
{
	return (void *)(long)ctx->data_end;
}

#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define IPPROTO_IPIP 4
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* IEEE 802.3 */
struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 protocol;
} __packed;

/* IEEE 802.1Q: what stands between the source address and the protocol of a tagged frame. */
struct vlan_tag {
	__be16 tpid;
	__be16 tci;
} __packed;

/* RFC 791 */
struct ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__be32 source;
	__be32 destination;
} __packed;

/* RFC 8200 */
struct ipv6 {
	__be32 version_class_flow;
	__be16 length;
	__u8 next_header;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
} __packed;

/* The first four bytes of TCP and UDP alike. */
struct ports {
	__be16 source;
	__be16 destination;
} __packed;

#endif
