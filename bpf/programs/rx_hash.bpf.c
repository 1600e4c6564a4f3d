// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Asks the driver for the hash that the NIC computed on receive, with a kernel function that only a
 * program bound to its device may call. Counts frames by whether the driver had an answer.
 */
#include "hoist.h"

/* Declared with the kernel's type name: loaders compare the declaration with the kernel's own. */
enum xdp_rss_hash_type {
	XDP_RSS_TYPE_NONE = 0,
};

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) SEC(".ksyms");

__u64 hashed;
__u64 unhashed;

SEC("xdp")
int xdp_rx_hash(struct xdp_md *ctx)
{
	enum xdp_rss_hash_type rss_type = XDP_RSS_TYPE_NONE;
	__u32 hash = 0;

	if (bpf_xdp_metadata_rx_hash(ctx, &hash, &rss_type))
		__sync_fetch_and_add(&unhashed, 1);
	else
		__sync_fetch_and_add(&hashed, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
