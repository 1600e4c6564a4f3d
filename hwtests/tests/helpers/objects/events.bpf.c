// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Ring buffers, perf events, dynptrs. */
#include "note.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 1);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u8[64]);
	__uint(max_entries, 1);
} buffer SEC(".maps");

#define STATE(at)                                                                                  \
	NOTE(at, bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA));                                     \
	NOTE(at + 1, bpf_ringbuf_query(&ring, BPF_RB_CONS_POS));                                   \
	NOTE(at + 2, bpf_ringbuf_query(&ring, BPF_RB_PROD_POS))

SEC("xdp")
int xdp_ring(struct xdp_md *ctx)
{
	__u64 data[4] = { 1, 2, 3, 4 }, *record;

	NOTE(0, bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE));
	NOTE(1, bpf_ringbuf_query(&ring, HIDE(9ULL)));
	STATE(2);
	NOTE(5, bpf_ringbuf_output(&ring, data, sizeof(data), 0));
	NOTE(6, bpf_ringbuf_output(&ring, data, 5, BPF_RB_NO_WAKEUP));
	NOTE(7, bpf_ringbuf_output(&ring, data, 8, HIDE(4ULL)));
	NOTE(8, bpf_ringbuf_output(&ring, data, 0, 0));
	STATE(9);
	record = bpf_ringbuf_reserve(&ring, 16, 0);
	NOTE(12, !!record);
	if (record) {
		record[0] = 5;
		record[1] = 6;
		bpf_ringbuf_submit(record, 0);
	}
	STATE(13);
	record = bpf_ringbuf_reserve(&ring, 8, HIDE(1ULL));
	NOTE(16, !!record);
	if (record)
		bpf_ringbuf_discard(record, 0);
	record = bpf_ringbuf_reserve(&ring, 4089, 0);
	NOTE(17, !!record);
	if (record)
		bpf_ringbuf_discard(record, 0);
	record = bpf_ringbuf_reserve(&ring, 8, 0);
	NOTE(18, !!record);
	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
	STATE(19);
	for (int i = 0; i < 200; i++)
		notes[22] += bpf_ringbuf_output(&ring, data, 32, 0);
	STATE(23);
	return XDP_PASS;
}

SEC("xdp")
int xdp_perf(struct xdp_md *ctx)
{
	__u64 data = 1;

	NOTE(0, bpf_perf_event_output(ctx, &events, 0, &data, 8));
	NOTE(1, bpf_perf_event_output(ctx, &events, 1, &data, 8));
	NOTE(2, bpf_perf_event_output(ctx, &events, HIDE(1ULL << 52), &data, 8));
	NOTE(3, bpf_perf_event_output(ctx, &events, HIDE(61ULL << 32), &data, 8));
	NOTE(4, bpf_perf_event_output(ctx, &events, HIDE(60ULL << 32), &data, 8));
	NOTE(5, bpf_perf_event_output(ctx, &events, HIDE(60ULL << 32), &data, 0));
	return XDP_PASS;
}

extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *to) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u32 offset, void *buffer,
			      __u32 size) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, __u32 offset, void *buffer,
				   __u32 size) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *p, __u32 start, __u32 end) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym;
extern _Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *to) __ksym;

/* The kernel leaves what it likes above the lowest byte. */
#define NOTE_BOOL(at, value) NOTE(at, HIDE((__u64)(value)) & 0xff)

SEC("xdp")
int xdp_frame_dynptr(struct xdp_md *ctx)
{
	struct bpf_dynptr p, copy, null;
	__u64 words[2] = { 0, 0 }, *slice;

	NOTE(0, bpf_dynptr_from_xdp(ctx, HIDE(1ULL), &null));
	NOTE_BOOL(1, bpf_dynptr_is_null(&null));
	NOTE(2, bpf_dynptr_size(&null));
	NOTE_BOOL(3, bpf_dynptr_is_rdonly(&null));
	NOTE(4, bpf_dynptr_read(words, 8, &null, 0, 0));
	NOTE(5, bpf_dynptr_write(&null, 0, words, 8, 0));
	NOTE(6, bpf_dynptr_adjust(&null, 0, 0));
	NOTE(7, bpf_dynptr_from_xdp(ctx, 0, &p));
	NOTE_BOOL(8, bpf_dynptr_is_null(&p));
	NOTE(9, bpf_dynptr_size(&p));
	NOTE_BOOL(10, bpf_dynptr_is_rdonly(&p));
	NOTE(11, bpf_dynptr_read(words, 16, &p, 4, 0));
	NOTE(12, words[1]);
	NOTE(13, bpf_dynptr_read(words, 16, &p, 45, 0));
	NOTE(14, bpf_dynptr_read(words, 16, &p, HIDE(0xffffffffU), 0));
	NOTE(15, bpf_dynptr_read(words, 16, &p, 0, HIDE(1ULL)));
	NOTE(16, bpf_dynptr_write(&p, 30, words, 8, 0));
	NOTE(17, bpf_dynptr_write(&p, 30, words, 8, HIDE(1ULL)));
	NOTE(18, bpf_dynptr_write(&p, 53, words, 8, 0));
	slice = bpf_dynptr_slice(&p, 0, words, 8);
	NOTE(19, slice ? *slice : 0);
	slice = bpf_dynptr_slice_rdwr(&p, 40, 0, 8);
	if (slice)
		*slice = 0x1122334455667788;
	NOTE(20, !!slice);
	slice = bpf_dynptr_slice(&p, 53, words, 8);
	NOTE(21, !!slice);
	NOTE(22, bpf_dynptr_clone(&p, &copy));
	NOTE(23, bpf_dynptr_adjust(&copy, 10, 20));
	NOTE(24, bpf_dynptr_size(&copy));
	NOTE(25, bpf_dynptr_read(words, 8, &copy, 2, 0));
	NOTE(26, words[0]);
	NOTE(27, bpf_dynptr_read(words, 8, &copy, 3, 0));
	NOTE(28, bpf_dynptr_adjust(&copy, 5, 4));
	NOTE(29, bpf_dynptr_adjust(&copy, 0, 11));
	NOTE(30, bpf_dynptr_adjust(&copy, 10, 10));
	NOTE(31, bpf_dynptr_size(&copy));
	NOTE(32, bpf_dynptr_clone(&null, &copy));
	NOTE(33, !!bpf_dynptr_data(&p, 0, 8));
	return XDP_PASS;
}

SEC("xdp")
int xdp_memory_dynptr(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u8 *memory = bpf_map_lookup_elem(&buffer, &zero);
	struct bpf_dynptr p, half;
	__u64 words[2] = { 1, 2 }, *data;

	if (!memory)
		return XDP_ABORTED;
	NOTE(0, bpf_dynptr_from_mem(memory, 64, HIDE(1ULL), &p));
	NOTE(1, bpf_dynptr_from_mem(memory, 64, 0, &p));
	NOTE(2, bpf_dynptr_from_mem(memory + 32, 32, 0, &half));
	NOTE(3, bpf_dynptr_write(&p, 28, words, 16, 0));
	NOTE(4, bpf_dynptr_write(&p, 49, words, 16, 0));
	NOTE(5, bpf_dynptr_read(words, 16, &half, 0, 0));
	NOTE(6, words[0]);
	data = bpf_dynptr_data(&half, 8, 8);
	if (data)
		*data = 0xabcdef;
	NOTE(7, !!data);
	data = bpf_dynptr_data(&half, 25, 8);
	NOTE(8, !!data);
	NOTE(9, bpf_dynptr_write(&p, 0, memory + 4, 40, 0));
	NOTE(10, bpf_dynptr_write(&p, 0, words, 0, 0));
	NOTE(11, bpf_dynptr_read(words, 0, &p, 64, 0));
	NOTE(12, bpf_dynptr_read(words, 0, &p, 65, 0));
	return XDP_PASS;
}

SEC("xdp")
int xdp_ring_dynptr(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	__u64 word = 7;

	NOTE(0, bpf_ringbuf_reserve_dynptr(&ring, 32, 0, &p));
	NOTE(1, bpf_dynptr_write(&p, 8, &word, 8, 0));
	NOTE(2, bpf_dynptr_write(&p, 25, &word, 8, 0));
	bpf_ringbuf_submit_dynptr(&p, 0);
	STATE(3);
	NOTE(6, bpf_ringbuf_reserve_dynptr(&ring, HIDE(5000U), 0, &p));
	bpf_ringbuf_discard_dynptr(&p, 0);
	NOTE(7, bpf_ringbuf_reserve_dynptr(&ring, 8, HIDE(1ULL), &p));
	bpf_ringbuf_discard_dynptr(&p, 0);
	NOTE(8, bpf_ringbuf_reserve_dynptr(&ring, HIDE(0x1000000U), 0, &p));
	bpf_ringbuf_submit_dynptr(&p, 0);
	STATE(9);
	return XDP_PASS;
}

extern int bpf_dynptr_copy(struct bpf_dynptr *to, __u32 to_offset, struct bpf_dynptr *from,
			   __u32 from_offset, __u32 size) __ksym __weak;
extern int bpf_dynptr_memset(struct bpf_dynptr *p, __u32 offset, __u32 size, __u8 value) __ksym
	__weak;

/* Linux 6.17. */
SEC("xdp")
int xdp_fill(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u8 *memory = bpf_map_lookup_elem(&buffer, &zero);
	struct bpf_dynptr frame, p;

	if (!memory || !&bpf_dynptr_copy || !&bpf_dynptr_memset)
		return XDP_ABORTED;
	bpf_dynptr_from_xdp(ctx, 0, &frame);
	bpf_dynptr_from_mem(memory, 64, 0, &p);
	NOTE(0, bpf_dynptr_memset(&p, 8, 16, 0x33));
	NOTE(1, bpf_dynptr_memset(&p, 60, 5, 0x33));
	NOTE(2, bpf_dynptr_memset(&frame, 50, 10, 0x44));
	NOTE(3, bpf_dynptr_memset(&frame, 50, 11, 0x44));
	NOTE(4, bpf_dynptr_copy(&p, 30, &frame, 46, 14));
	NOTE(5, bpf_dynptr_copy(&frame, 20, &p, 8, 16));
	NOTE(6, bpf_dynptr_copy(&p, 0, &p, 4, 40));
	NOTE(7, bpf_dynptr_copy(&p, 0, &frame, 46, 15));
	NOTE(8, bpf_dynptr_copy(&p, 60, &frame, 0, 5));
	return XDP_PASS;
}
