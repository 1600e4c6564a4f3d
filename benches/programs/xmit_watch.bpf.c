// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How xdp-tools learn what a driver took: a program at the tracepoint of every transmission of a bulk
 * of XDP frames. Written anew from its description, as a yardstick.
 */
#include "hoist.h"

struct net_device {
	int ifindex;
} __attribute__((preserve_access_index));

struct record {
	__u64 sent;
	__u64 dropped;
	__u64 bulks;
	__u64 failed;
};

struct {
	__uint(type, 5);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct record);
} records SEC(".maps");

__helper long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)2;

/* const struct net_device *from, const struct net_device *to, int sent, int drops, int err */
SEC("tp_btf/xdp_devmap_xmit")
int xmit_watch(__u64 *arguments)
{
	const struct net_device *from = (void *)arguments[0], *to = (void *)arguments[1];
	int sent = arguments[2], drops = arguments[3], error = arguments[4];
	struct record empty = {}, *record;
	__u64 key = (__u64)(__u32)from->ifindex << 32 | (__u32)to->ifindex;

	bpf_map_update_elem(&records, &key, &empty, 1);
	record = bpf_map_lookup_elem(&records, &key);
	if (!record)
		return 0;
	record->sent += sent;
	record->dropped += drops;
	record->bulks += 1;
	if (error || drops < 0)
		record->failed += 1;
	return 0;
}

char _license[] SEC("license") = "GPL";
