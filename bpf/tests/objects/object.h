/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the test objects share. Plain `clang -target bpf` builds them: no other headers. */
#ifndef OBJECT_H
#define OBJECT_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long __s64;

#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __uint(name, number) int (*name)[number]
#define __ulong(name, number) enum { name##_value = number } name
#define __type(name, type) typeof(type) *name
#define __array(name, type) typeof(type) *name[]

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static void *(*map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*trace_printk)(const char *format, __u32 size, ...) = (void *)6;
static long (*tail_call)(void *ctx, void *map, __u32 slot) = (void *)12;
static long (*probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*loop)(__u32 rounds, void *callback, void *context, __u64 flags) = (void *)181;

#endif
