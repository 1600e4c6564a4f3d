/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Subprograms outside .text, which libbpf does not take: static ones beside the program, and a
 * program that another program calls. */
#include "object.h"

static __noinline int beside(int x) SEC("xdp");
static __noinline int beside(int x)
{
	return x * 5 + 1;
}

SEC("xdp")
int caller(struct xdp_md *ctx)
{
	return beside(ctx->rx_queue_index) > 7 ? 1 : 2;
}

SEC("other")
__noinline int called(struct xdp_md *ctx)
{
	return ctx->rx_queue_index;
}

SEC("another")
int calls_a_program(struct xdp_md *ctx)
{
	return called(ctx) + 1;
}

char _license[] SEC("license") = "GPL";
