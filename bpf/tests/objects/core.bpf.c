/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* CO-RE relocations of every kind, with and without an answer in a current kernel. */
#include "object.h"

#define __core __attribute__((preserve_access_index))

enum { BYTE_OFFSET, BYTE_SIZE, EXISTS, SIGNED, LSHIFT, RSHIFT };
enum { TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES };
enum { ENUM_EXISTS, ENUM_VALUE };

struct net {
	int ifindex;
} __core;

struct net_device {
	int ifindex;
	unsigned int mtu;
	char name[16];
} __core;

/* A bit-field in another place than the kernel's, and a wider integer than the kernel's. */
struct sk_buff___mine {
	unsigned long long len;
	__u8 padding : 3;
	__u8 pkt_type : 3;
	__u8 cloned : 1;
} __core;

struct sk_buff___old {
	int field_that_never_was;
} __core;

struct no_such_struct {
	int a;
} __core;

/* Flavours: same name but for the suffix. */
struct net_device___v1 {
	struct {
		int ifindex;
	};
} __core;

enum tcp_state___mine {
	TCP_SYN_SENT___mine = 42,
	TCP_NEVER___mine = 43,
};

typedef __u32 sk_buff_data_t;

/* Anonymous nesting and arrays. */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__u32 u6_addr32[4];
	} in6_u;
} __core;

struct task_struct {
	int pid;
	struct task_struct *group_leader;
	const struct {
		int counter;
	} usage;
	char comm[16];
	unsigned in_execve : 1;
} __core;

static volatile __u64 sink;

SEC("xdp/fields")
int fields(struct xdp_md *ctx)
{
	struct net_device *device = (void *)(long)ctx->data;
	struct task_struct *task = (void *)device;
	struct in6_addr *address = (void *)device;
	struct sk_buff___mine *skb = (void *)device;
	struct net_device___v1 *flavour = (void *)device;
	__u64 value = 0;

	probe_read_kernel(&value, 4, &device->mtu);
	sink += value;
	sink += device->ifindex + flavour->ifindex;
	sink += task->pid;
	sink += (__u64)&task->group_leader->comm[3];
	sink += (__u64)&address->in6_u.u6_addr32[2];
	sink += __builtin_preserve_field_info(device->name, BYTE_SIZE);
	sink += __builtin_preserve_field_info(device->mtu, EXISTS);
	sink += __builtin_preserve_field_info(device->ifindex, SIGNED);
	sink += __builtin_preserve_field_info(skb->pkt_type, BYTE_OFFSET);
	sink += __builtin_preserve_field_info(skb->pkt_type, BYTE_SIZE);
	sink += __builtin_preserve_field_info(skb->pkt_type, LSHIFT);
	sink += __builtin_preserve_field_info(skb->pkt_type, RSHIFT);
	sink += __builtin_preserve_field_info(task->in_execve, BYTE_OFFSET);
	sink += __builtin_preserve_field_info(task->in_execve, LSHIFT);
	sink += __builtin_preserve_field_info(task->in_execve, RSHIFT);
	sink += __builtin_preserve_field_info(task->in_execve, SIGNED);
	sink += skb->len;
	return 2;
}

SEC("xdp/missing")
int missing(struct xdp_md *ctx)
{
	struct sk_buff___old *skb = (void *)(long)ctx->data;
	struct no_such_struct *nothing = (void *)skb;

	if (__builtin_preserve_field_info(skb->field_that_never_was, EXISTS))
		sink += skb->field_that_never_was;
	if (__builtin_preserve_field_info(nothing->a, EXISTS))
		sink += __builtin_preserve_field_info(nothing->a, BYTE_SIZE);
	return 2;
}

SEC("xdp/types")
int types(struct xdp_md *ctx)
{
	sink += __builtin_preserve_type_info(*(struct net *)0, TYPE_EXISTS);
	sink += __builtin_preserve_type_info(*(struct no_such_struct *)0, TYPE_EXISTS);
	sink += __builtin_preserve_type_info(*(struct net_device *)0, TYPE_SIZE);
	sink += __builtin_preserve_type_info(*(sk_buff_data_t *)0, TYPE_SIZE);
	sink += __builtin_btf_type_id(*(struct net_device *)0, 0);
	sink += __builtin_btf_type_id(*(struct net_device *)0, 1);
	sink += __builtin_btf_type_id(*(struct no_such_struct *)0, 1);
#if __clang_major__ >= 16
	sink += __builtin_preserve_type_info(*(struct in6_addr *)0, TYPE_MATCHES);
	sink += __builtin_preserve_type_info(*(struct net_device *)0, TYPE_MATCHES);
	sink += __builtin_preserve_type_info(*(struct sk_buff___mine *)0, TYPE_MATCHES);
#endif
	return 2;
}

enum bpf_map_type___mine {
	BPF_MAP_TYPE_ARRAY___mine = 77,
	BPF_MAP_TYPE_NEVER___mine = 78,
};

SEC("xdp/enums")
int enums(struct xdp_md *ctx)
{
	sink += __builtin_preserve_enum_value(*(enum bpf_map_type___mine *)BPF_MAP_TYPE_ARRAY___mine, ENUM_EXISTS);
	sink += __builtin_preserve_enum_value(*(enum bpf_map_type___mine *)BPF_MAP_TYPE_ARRAY___mine, ENUM_VALUE);
	if (__builtin_preserve_enum_value(*(enum bpf_map_type___mine *)BPF_MAP_TYPE_NEVER___mine, ENUM_EXISTS))
		sink += __builtin_preserve_enum_value(*(enum bpf_map_type___mine *)BPF_MAP_TYPE_NEVER___mine, ENUM_VALUE);
	return 2;
}

char _license[] SEC("license") = "GPL";
