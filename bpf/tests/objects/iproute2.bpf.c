/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* iproute2's way of declaring maps: pinning, inner maps by id, tail calls by section name. */
#include "object.h"

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map SEC("maps") shared = {
	.type = 1, .size_key = 4, .size_value = 8, .max_elem = 10, .pinning = 2,
};

struct bpf_elf_map SEC("maps") jumps = {
	.type = 3, .size_key = 4, .size_value = 4, .max_elem = 2, .id = 1,
};

struct bpf_elf_map SEC("maps") inner = {
	.type = 2, .size_key = 4, .size_value = 4, .max_elem = 1, .id = 42, .inner_idx = 0,
};

struct bpf_elf_map SEC("maps") outer = {
	.type = 12, .size_key = 4, .size_value = 4, .max_elem = 3, .inner_id = 42, .inner_idx = 2,
};

SEC("1/1")
int jumped_to(struct xdp_md *ctx)
{
	return 1;
}

SEC("prog")
int entry(struct xdp_md *ctx)
{
	__u32 key = 0;

	map_lookup_elem(&shared, &key);
	map_lookup_elem(&outer, &key);
	tail_call(ctx, &jumps, 1);
	return 2;
}

char _license[] SEC("license") = "GPL";
