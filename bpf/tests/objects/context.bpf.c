/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The context on its way through a program, by every road that compilers and people take. */
#include "object.h"

static long (*get_prandom)(void) = (void *)7;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*for_each_map_elem)(void *map, void *callback, void *context, __u64 flags) = (void *)164;

#define hide(x) asm volatile("" : "+r"(x))
#define MAP(what, kind, entries)                                                                   \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, entries);                                                      \
		__type(key, __u32);                                                                \
		__type(value, __u32);                                                              \
	} what SEC(".maps")

MAP(counts, 2, 4);
MAP(near, 14, 4);
MAP(far, 25, 4);
MAP(targets, 3, 4);

struct holder {
	__u64 before;
	struct xdp_md *ctx;
	__u32 sum;
};

static __noinline struct xdp_md *same(struct xdp_md *ctx)
{
	hide(ctx);
	return ctx;
}

static __noinline int held(struct holder *holder)
{
	hide(holder);
	return holder->ctx->rx_queue_index;
}

static __noinline int fifth(__u64 a, __u64 b, __u64 c, __u64 d, struct xdp_md *ctx)
{
	hide(ctx);
	return a + b + c + d + ctx->ingress_ifindex;
}

__noinline int on_its_own(struct xdp_md *ctx)
{
	return ctx->rx_queue_index + ctx->ingress_ifindex;
}

static __noinline int deeper(struct holder *holder)
{
	struct holder another = { .ctx = same(holder->ctx) };

	hide(holder);
	return held(&another) + held(holder);
}

SEC("xdp")
int through_functions(struct xdp_md *ctx)
{
	struct holder low = { .ctx = ctx }, high = { .ctx = same(ctx) };
	int sum = held(&low) + deeper(&high) + on_its_own(ctx);

	sum += fifth(1, 2, 3, sum, ctx);
	return sum > 7 ? 1 : 2;
}

SEC("xdp")
int beside_a_table(struct xdp_md *ctx)
{
	struct xdp_md *volatile kept = ctx;
	__u64 table[16] = {};
	__u32 at = ctx->rx_queue_index;

	for (__u32 i = 0; i < 16; i++) {
		table[(at + i) & 15] += get_prandom();
		hide(at);
	}
	at = kept->ingress_ifindex & 15;
	hide(at);
	return table[at] == kept->rx_queue_index ? 1 : 2;
}

SEC("xdp")
int under_pressure(struct xdp_md *ctx)
{
	__u64 a = get_prandom(), b = get_prandom(), c = get_prandom(), d = get_prandom();
	__u64 e = get_prandom(), f = get_prandom(), g = get_prandom(), sum = 0;

	for (__u32 i = 0; i < 8; i++) {
		sum += ctx->rx_queue_index + get_prandom() * a + b;
		hide(c);
		sum ^= c + d;
		hide(e);
		sum ^= e * f + g;
		if (sum == 7)
			sum += ctx->ingress_ifindex;
	}
	return sum > a ? 1 : 2;
}

static long inner_round(__u32 round, struct holder *holder)
{
	holder->sum += holder->ctx->rx_queue_index + round;
	return 0;
}

static long outer_round(__u32 round, struct holder *holder)
{
	struct holder inner = { .ctx = holder->ctx };

	loop(2, inner_round, &inner, 0);
	holder->sum += inner.sum + holder->ctx->ingress_ifindex;
	return 0;
}

static long on_element(void *map, __u32 *key, __u32 *value, struct holder *holder)
{
	*value += holder->ctx->rx_queue_index;
	return 0;
}

SEC("xdp")
int through_callbacks(struct xdp_md *ctx)
{
	struct holder holder = { .ctx = ctx };

	loop(3, outer_round, &holder, 0);
	for_each_map_elem(&counts, on_element, &holder, 0);
	return holder.sum > 7 ? 1 : 2;
}

SEC("xdp")
int over_a_tail_call(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	tail_call(ctx, &targets, key & 3);
	return ctx->rx_queue_index == key && ctx->ingress_ifindex ? 1 : 2;
}

SEC("xdp")
int to_one_of_two_maps(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	if (ctx->ingress_ifindex & 1)
		return redirect_map(&near, key, 2);
	return redirect_map(&far, key, 1);
}

char _license[] SEC("license") = "GPL";
