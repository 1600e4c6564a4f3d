// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Counts the frames and bytes that do not lie in the linear part of their buffer.
 */
#include "tc.h"

__u64 packets;
__u64 bytes_beyond_linear;

SEC("tc")
int tc_frags(struct __sk_buff *skb)
{
	__u64 linear = skb->data_end - skb->data;
	__u64 length = skb->len;

	if (length > linear) {
		__sync_fetch_and_add(&packets, 1);
		__sync_fetch_and_add(&bytes_beyond_linear, length - linear);
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
