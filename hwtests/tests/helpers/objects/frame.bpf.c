// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Moving the ends of the frame, copying its bytes. */
#include "note.h"

SEC("xdp")
int xdp_head(struct xdp_md *ctx)
{
	NOTE(0, bpf_xdp_adjust_head(ctx, 14));
	NOTE(1, bpf_xdp_adjust_head(ctx, -14));
	NOTE(2, bpf_xdp_adjust_head(ctx, -216));
	NOTE(3, bpf_xdp_adjust_head(ctx, -1));
	NOTE(4, bpf_xdp_get_buff_len(ctx));
	NOTE(5, bpf_xdp_adjust_head(ctx, 216));
	NOTE(6, bpf_xdp_adjust_head(ctx, HIDE(0x7fffffff)));
	NOTE(7, bpf_xdp_adjust_head(ctx, HIDE((int)0x80000000)));
	NOTE(8, bpf_xdp_adjust_head(ctx, 46));
	NOTE(9, bpf_xdp_adjust_head(ctx, 1));
	NOTE(10, bpf_xdp_adjust_head(ctx, -50));
	return XDP_PASS;
}

SEC("xdp")
int xdp_meta(struct xdp_md *ctx)
{
	NOTE(0, bpf_xdp_adjust_meta(ctx, 4));
	NOTE(1, bpf_xdp_adjust_meta(ctx, -2));
	NOTE(2, bpf_xdp_adjust_meta(ctx, -4));
	__u32 *meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) <= (void *)(long)ctx->data)
		*meta = 0xdeadbeef;
	NOTE(3, bpf_xdp_adjust_meta(ctx, -256));
	NOTE(4, bpf_xdp_adjust_meta(ctx, -212));
	NOTE(5, ctx->data - ctx->data_meta);
	NOTE(6, bpf_xdp_adjust_meta(ctx, -4));
	NOTE(7, bpf_xdp_adjust_meta(ctx, 208));
	NOTE(8, ctx->data - ctx->data_meta);
	NOTE(9, bpf_xdp_adjust_head(ctx, -200));
	NOTE(10, bpf_xdp_adjust_head(ctx, -9));
	NOTE(11, bpf_xdp_adjust_head(ctx, -8));
	NOTE(12, bpf_xdp_adjust_head(ctx, 218));
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 2) <= (void *)(long)ctx->data)
		NOTE(13, *(__u64 *)meta);
	return XDP_PASS;
}

/* Behind a head that was cut there is room for more metadata than can be. */
SEC("xdp")
int xdp_meta_limit(struct xdp_md *ctx)
{
	NOTE(0, bpf_xdp_adjust_head(ctx, 46));
	NOTE(1, bpf_xdp_adjust_meta(ctx, -256));
	NOTE(2, bpf_xdp_adjust_meta(ctx, -252));
	NOTE(3, bpf_xdp_adjust_meta(ctx, -4));
	NOTE(4, bpf_xdp_adjust_meta(ctx, -12));
	NOTE(5, ctx->data - ctx->data_meta);
	return XDP_PASS;
}

SEC("xdp")
int xdp_tail(struct xdp_md *ctx)
{
	NOTE(0, bpf_xdp_adjust_tail(ctx, 1));
	NOTE(1, bpf_xdp_adjust_tail(ctx, 3000));
	NOTE(2, bpf_xdp_get_buff_len(ctx));
	NOTE(3, bpf_xdp_adjust_tail(ctx, 3000));
	NOTE(4, bpf_xdp_adjust_tail(ctx, HIDE(0x7fffffff)));
	NOTE(5, bpf_xdp_adjust_tail(ctx, HIDE((int)0x80000000)));
	NOTE(6, bpf_xdp_adjust_tail(ctx, -3000));
	NOTE(7, bpf_xdp_adjust_tail(ctx, -47));
	NOTE(8, bpf_xdp_get_buff_len(ctx));
	NOTE(9, bpf_xdp_adjust_tail(ctx, -1));
	NOTE(10, bpf_xdp_adjust_tail(ctx, 6));
	return XDP_TX;
}

/* The frame can grow up to its last byte, and not one more. */
SEC("xdp")
int xdp_tail_limit(struct xdp_md *ctx)
{
	int room = 3520 - (int)bpf_xdp_get_buff_len(ctx);

	NOTE(0, bpf_xdp_adjust_tail(ctx, room + 1));
	NOTE(1, bpf_xdp_adjust_tail(ctx, room));
	NOTE(2, bpf_xdp_adjust_tail(ctx, 1));
	NOTE(3, bpf_xdp_adjust_tail(ctx, -room));
	return XDP_PASS;
}

SEC("xdp")
int xdp_bytes(struct xdp_md *ctx)
{
	__u8 bytes[16] = {};

	NOTE(0, bpf_xdp_load_bytes(ctx, 0, bytes, 16));
	NOTE(1, *(__u64 *)bytes);
	NOTE(2, bpf_xdp_load_bytes(ctx, HIDE(0xffffU), bytes, 1));
	NOTE(3, bpf_xdp_load_bytes(ctx, HIDE(0x10000U), bytes, 1));
	NOTE(4, bpf_xdp_load_bytes(ctx, HIDE(0xffffffffU), bytes, 1));
	NOTE(5, bpf_xdp_load_bytes(ctx, bpf_xdp_get_buff_len(ctx) - 16, bytes, 16));
	NOTE(6, *(__u64 *)bytes);
	NOTE(7, bpf_xdp_load_bytes(ctx, bpf_xdp_get_buff_len(ctx) - 15, bytes, 16));
	NOTE(8, *(__u64 *)bytes);
	NOTE(9, bpf_xdp_load_bytes(ctx, bpf_xdp_get_buff_len(ctx), bytes, 1));
	__builtin_memset(bytes, 0x5a, sizeof(bytes));
	NOTE(10, bpf_xdp_store_bytes(ctx, 20, bytes, 7));
	NOTE(11, bpf_xdp_store_bytes(ctx, bpf_xdp_get_buff_len(ctx) - 1, bytes, 1));
	NOTE(12, bpf_xdp_store_bytes(ctx, bpf_xdp_get_buff_len(ctx), bytes, 1));
	NOTE(13, bpf_xdp_store_bytes(ctx, HIDE(0x10000U), bytes, 1));
	NOTE(14, bpf_xdp_adjust_head(ctx, 4));
	NOTE(15, bpf_xdp_load_bytes(ctx, 0, bytes, 8));
	NOTE(16, *(__u64 *)bytes);
	return XDP_PASS;
}

/* More than fits one of the pieces that are copied at a time. */
__u8 large[3000];

SEC("xdp")
int xdp_large(struct xdp_md *ctx)
{
	NOTE(0, bpf_xdp_adjust_tail(ctx, 2900));
	NOTE(1, bpf_xdp_load_bytes(ctx, 1, large, 2900));
	NOTE(2, bpf_xdp_store_bytes(ctx, 30, large, 2900));
	NOTE(3, bpf_xdp_load_bytes(ctx, 1, large, 2999));
	return XDP_PASS;
}

extern int bpf_xdp_pull_data(struct xdp_md *x, __u32 len) __ksym __weak;

SEC("xdp")
int xdp_pull(struct xdp_md *ctx)
{
	if (!&bpf_xdp_pull_data)
		return XDP_DROP;
	NOTE(0, bpf_xdp_pull_data(ctx, 0));
	NOTE(1, bpf_xdp_pull_data(ctx, 60));
	NOTE(2, bpf_xdp_pull_data(ctx, 61));
	NOTE(3, bpf_xdp_pull_data(ctx, HIDE(0xffffffffU)));
	return XDP_PASS;
}
