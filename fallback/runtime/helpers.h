/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* XDP helpers whose TC twins differ in what they refuse and what they leave behind. */
#ifndef HOIST_RUNTIME_HELPERS_H
#define HOIST_RUNTIME_HELPERS_H

#include "kernel.h"

#define LONGEST 0xffff

/* Unlike bpf_skb_load_bytes, leaves the buffer alone when it refuses. */
__noinline long hoist_load_bytes(struct __sk_buff *skb, __u32 offset, void *to, __u32 len)
{
	if (offset > LONGEST || len > LONGEST)
		return -EFAULT;
	if (offset + len > skb->len)
		return -EINVAL;
	return bpf_skb_load_bytes(skb, offset, to, len) ? -EINVAL : 0;
}

__noinline long hoist_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len)
{
	if (offset > LONGEST || len > LONGEST)
		return -EFAULT;
	if (offset + len > skb->len)
		return -EINVAL;
	return bpf_skb_store_bytes(skb, offset, from, len, 0) ? -EINVAL : 0;
}

/*
 * Without a length to check, XDP checks none, and TC the buffer's against the device's MTU. One
 * byte fits every MTU.
 */
__noinline long hoist_fib_lookup(struct __sk_buff *skb, struct fib_lookup *params, int size, __u32 flags)
{
	long found;

	if (params->tot_len)
		return bpf_fib_lookup(skb, params, size, flags);
	params->tot_len = 1;
	found = bpf_fib_lookup(skb, params, size, flags);
	if (params->tot_len == 1)
		params->tot_len = 0;
	return found;
}

/* XDP knows no flags. */
__noinline long hoist_check_mtu(struct __sk_buff *skb, __u32 ifindex, __u32 *mtu, __s32 by, __u64 flags)
{
	if (flags)
		return -EINVAL;
	return bpf_check_mtu(skb, ifindex, mtu, by, 0);
}

#endif
