// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Callbacks, iterators, locks, and maps that helpers walk. */
#include "note.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 5);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 3);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, __u32);
	__uint(max_entries, 2);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__type(value, __u32);
	__uint(max_entries, 2);
} stack SEC(".maps");

struct locked {
	__u64 before;
	struct bpf_spin_lock lock;
	__u32 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct locked);
	__uint(max_entries, 2);
} locks SEC(".maps");

/* In a map, so that the verifier does not follow every value that it may take. */
struct sum {
	__u64 calls, sum, stop;
} sum;

static long add(__u32 i, __u64 *factor)
{
	sum.calls++;
	sum.sum += i * *factor;
	return i == sum.stop;
}

SEC("xdp")
int xdp_loop(struct xdp_md *ctx)
{
	__u64 factor = 3;

	sum.stop = -1;
	NOTE(0, bpf_loop(10, add, &factor, 0));
	NOTE(1, bpf_loop(0, add, &factor, 0));
	NOTE(2, bpf_loop(HIDE((1U << 23) + 1), add, &factor, 0));
	NOTE(3, bpf_loop(3, add, &factor, HIDE(1ULL)));
	NOTE(4, bpf_loop(HIDE((1U << 23) + 1), add, &factor, HIDE(1ULL)));
	NOTE(5, sum.calls);
	NOTE(6, sum.sum);
	sum.stop = 4;
	NOTE(7, bpf_loop(10, add, &factor, 0));
	NOTE(8, bpf_loop(1000, add, &factor, HIDE(0ULL)));
	NOTE(9, sum.calls);
	return XDP_PASS;
}

static long visit(void *map, __u32 *key, __u64 *value, __u64 *factor)
{
	sum.calls++;
	sum.sum += *key * *factor + *value;
	*value += 1;
	return sum.calls == sum.stop;
}

SEC("xdp")
int xdp_each(struct xdp_md *ctx)
{
	__u64 value = 5, factor = 1000;

	sum.stop = 7;
#pragma unroll
	for (__u32 key = 0; key < 3; key++) {
		__u32 own = key * 7, slot = key;
		bpf_map_update_elem(&hash, &own, &value, BPF_ANY);
		bpf_map_update_elem(&array, &slot, &value, BPF_ANY);
	}
	NOTE(0, bpf_for_each_map_elem(&array, visit, &factor, 0));
	NOTE(1, sum.sum);
	NOTE(2, bpf_for_each_map_elem(&array, visit, &factor, 0));
	NOTE(3, bpf_for_each_map_elem(&array, visit, &factor, HIDE(1ULL)));
	NOTE(4, bpf_for_each_map_elem(&hash, visit, &factor, 0));
	NOTE(5, sum.sum);
	NOTE(6, bpf_for_each_map_elem(&percpu, visit, &factor, 0));
	NOTE(7, sum.calls);
	return XDP_PASS;
}

SEC("xdp")
int xdp_queues(struct xdp_md *ctx)
{
	__u32 value = 1;

	NOTE(0, bpf_map_pop_elem(&queue, &value));
	NOTE(1, value);
	value = 7;
	NOTE(2, bpf_map_push_elem(&queue, &value, 0));
	NOTE(3, bpf_map_push_elem(&stack, &value, 0));
	value = 8;
	NOTE(4, bpf_map_push_elem(&queue, &value, BPF_ANY));
	NOTE(5, bpf_map_push_elem(&stack, &value, BPF_ANY));
	value = 9;
	NOTE(6, bpf_map_push_elem(&queue, &value, 0));
	NOTE(7, bpf_map_push_elem(&queue, &value, BPF_EXIST));
	NOTE(8, bpf_map_push_elem(&stack, &value, BPF_NOEXIST));
	NOTE(9, bpf_map_push_elem(&stack, &value, HIDE(8ULL)));
	NOTE(10, bpf_map_peek_elem(&queue, &value));
	NOTE(11, value);
	NOTE(12, bpf_map_peek_elem(&stack, &value));
	NOTE(13, value);
	NOTE(14, bpf_map_pop_elem(&queue, &value));
	NOTE(15, value);
	NOTE(16, bpf_map_pop_elem(&stack, &value));
	NOTE(17, value);
	NOTE(18, bpf_map_pop_elem(&queue, &value));
	NOTE(19, bpf_map_pop_elem(&queue, &value));
	NOTE(20, value);
	return XDP_PASS;
}

SEC("xdp")
int xdp_change(struct xdp_md *ctx)
{
	__u32 key = 3, far = 5;
	__u64 value = 9, *found;

	NOTE(0, bpf_map_update_elem(&array, &far, &value, BPF_ANY));
	NOTE(1, bpf_map_update_elem(&array, &key, &value, BPF_NOEXIST));
	NOTE(2, bpf_map_update_elem(&array, &key, &value, HIDE(8ULL)));
	NOTE(3, bpf_map_delete_elem(&array, &key));
	NOTE(4, bpf_map_update_elem(&hash, &key, &value, BPF_EXIST));
	NOTE(5, bpf_map_update_elem(&hash, &key, &value, BPF_NOEXIST));
	NOTE(6, bpf_map_update_elem(&hash, &key, &value, BPF_NOEXIST));
	found = bpf_map_lookup_elem(&hash, &key);
	NOTE(7, found ? *found : 0);
	NOTE(8, bpf_map_delete_elem(&hash, &key));
	NOTE(9, bpf_map_delete_elem(&hash, &key));
	NOTE(10, found ? *found : 0);
	NOTE(11, !!bpf_map_lookup_elem(&hash, &key));
	NOTE(12, !!bpf_map_lookup_elem(&array, &far));
	return XDP_PASS;
}

SEC("xdp")
int xdp_of_cpu(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_percpu_elem(&percpu, &key, 0);

	if (value)
		*value += 3;
	NOTE(0, !!bpf_map_lookup_percpu_elem(&percpu, &key, 1 << 20));
	key = 3;
	NOTE(1, !!bpf_map_lookup_percpu_elem(&percpu, &key, 0));
	return XDP_PASS;
}

SEC("xdp")
int xdp_lock(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct locked *locked = bpf_map_lookup_elem(&locks, &key), copy = { .value = 40 };

	if (!locked)
		return XDP_ABORTED;
	NOTE(0, bpf_map_update_elem(&locks, &key, &copy, BPF_F_LOCK));
	bpf_spin_lock(&locked->lock);
	locked->value += 2;
	NOTE(1, locked->value);
	bpf_spin_unlock(&locked->lock);
	return XDP_PASS;
}

struct bpf_iter_num;
struct bpf_iter_bits;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *words, __u32 nr) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;

struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

struct bpf_iter_bits {
	__u64 opaque[2];
} __attribute__((aligned(8)));

static __always_inline void numbers(int at, int start, int end)
{
	struct bpf_iter_num it;
	__u64 sum = 0, count = 0;
	int *number;

	NOTE(at, bpf_iter_num_new(&it, start, end));
	while ((number = bpf_iter_num_next(&it))) {
		sum += *number;
		count++;
	}
	bpf_iter_num_destroy(&it);
	NOTE(at + 1, count);
	NOTE(at + 2, sum);
}

SEC("xdp")
int xdp_numbers_iterated(struct xdp_md *ctx)
{
	numbers(0, 0, 10);
	numbers(3, -5, HIDE(5));
	numbers(6, 5, 5);
	numbers(9, 5, 4);
	numbers(12, 0, (1 << 23) + 1);
	numbers(15, HIDE((int)0x80000000), HIDE(0x7fffffff));
	numbers(18, 0x7ffffffd, 0x7fffffff);
	numbers(21, (int)0x80000000, (int)0x80000003);
	return XDP_PASS;
}

__u64 mask[4] = { 1, 0, 0x8000000000000001, 6 };

static __always_inline void bits(int at, const __u64 *words, __u32 nr)
{
	struct bpf_iter_bits it;
	__u64 sum = 0, count = 0;
	int *bit;

	NOTE(at, bpf_iter_bits_new(&it, words, nr));
	while ((bit = bpf_iter_bits_next(&it))) {
		sum += *bit;
		count++;
	}
	bpf_iter_bits_destroy(&it);
	NOTE(at + 1, count);
	NOTE(at + 2, sum);
}

SEC("xdp")
int xdp_bits_iterated(struct xdp_md *ctx)
{
	bits(0, mask, 1);
	bits(3, mask + 2, 1);
	bits(6, mask, 4);
	bits(9, mask, 0);
	bits(12, mask, 512);
	bits(15, 0, 1);
	return XDP_PASS;
}
