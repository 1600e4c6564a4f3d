/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Several programs in several sections that share subprograms, callbacks and global data. */
#include "object.h"

const volatile __u32 limit = 7;
const volatile char greeting[8] SEC(".rodata.greeting") = "hello";
__u64 counter = 5;
__u64 zeroed[4];
static __u64 private_counter = 1;
__u32 special SEC(".data.special") = 0x01020304;
__u32 quiet SEC(".bss.quiet");
__hidden __u32 hidden_variable = 9;

static __noinline int leaf(int x)
{
	static const char format[] = "leaf %d\n";

	trace_printk(format, sizeof(format), x);
	private_counter += x;
	return x * 3 + limit;
}

static __noinline int middle(int x)
{
	if (x > 3)
		return leaf(x) + leaf(x + 1);
	return leaf(-x);
}

__noinline int global(int x)
{
	counter += middle(x) + hidden_variable;
	return x + 1;
}

__weak __noinline int weak(int x)
{
	zeroed[1] += x;
	return x ^ quiet;
}

__hidden __noinline int hidden(struct xdp_md *ctx)
{
	return ctx->rx_queue_index + special;
}

/* String literals have a section of their own. */
static __noinline void say(int x)
{
	trace_printk(x > 4 ? "more" : "less", 5);
}

static long on_round(__u32 round, __u64 *sum)
{
	*sum += leaf(round);
	return 0;
}

SEC("xdp")
int one(struct xdp_md *ctx)
{
	__u64 sum = 0;

	loop(4, on_round, &sum, 0);
	say(sum);
	return sum > limit ? 1 : 2;
}

SEC("xdp")
int two(struct xdp_md *ctx)
{
	return global(greeting[ctx->rx_queue_index & 7]) > 3 ? 1 : 2;
}

SEC("xdp.frags/three")
int three(struct xdp_md *ctx)
{
	return weak(hidden(ctx)) + middle(2) ? 1 : 2;
}

SEC("tc")
int four(void *ctx)
{
	return global(1);
}

/* No name that a loader knows. */
SEC("action_of_mine")
int five(struct xdp_md *ctx)
{
	return 2;
}

char _license[] SEC("license") = "GPL";
