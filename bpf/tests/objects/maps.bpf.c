/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Every attribute a map can be declared with. */
#include "object.h"

#define __tag(text) __attribute__((btf_decl_tag(text)))

struct key {
	__u32 a;
	__u16 b, c;
} __tag("a key");

struct value {
	__u64 packets __tag("a counter");
	__u8 mac[6];
};

struct inner {
	__uint(type, 2);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct value);
} inner_one SEC(".maps"), inner_two SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps") = {
	.values = { [1] = (void *)&inner_one, [5] = (void *)&inner_two },
};

struct {
	__uint(type, 13);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, struct {
		__uint(type, 1);
		__uint(max_entries, 16);
		__type(key, struct key);
		__type(value, __u32);
	});
} hash_of_maps SEC(".maps");

struct {
	__uint(type, 1);
	__uint(max_entries, 100);
	__uint(map_flags, 1);
	__uint(pinning, 1);
	__type(key, struct key);
	__type(value, struct value);
} hash SEC(".maps") __tag("the hash");

struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__uint(map_flags, 4);
	__uint(numa_node, 0);
	__uint(key_size, 4);
	__uint(value_size, 24);
} on_node SEC(".maps");

struct {
	__uint(type, 30);
	__uint(max_entries, 64);
	__uint(map_extra, 3);
	__type(value, __u32);
} bloom SEC(".maps");

struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

int second(struct xdp_md *ctx);
int third(struct xdp_md *ctx);

struct {
	__uint(type, 3);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, int(struct xdp_md *));
} programs SEC(".maps") = {
	.values = { [0] = second, [3] = third },
};

SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct key wide = { 1, 2, 3 };
	struct value *value = map_lookup_elem(&hash, &wide);
	void *map = map_lookup_elem(&array_of_maps, &key);

	if (value)
		value->packets++;
	if (map)
		map_lookup_elem(map, &key);
	map = map_lookup_elem(&hash_of_maps, &key);
	if (map)
		map_update_elem(map, &wide, &key, 0);
	map_lookup_elem(&on_node, &key);
	map_update_elem(&bloom, 0, &key, 0);
	map_lookup_elem(&ring, &key);
	map_lookup_elem(&events, &key);
	tail_call(ctx, &programs, 3);
	return 2;
}

SEC("xdp/second")
int second(struct xdp_md *ctx)
{
	return 1;
}

SEC("xdp/third")
int third(struct xdp_md *ctx)
{
	return 3;
}

char _license[] SEC("license") = "Dual MIT/GPL";
