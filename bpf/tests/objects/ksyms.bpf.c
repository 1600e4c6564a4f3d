/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Kernel functions and variables, there and not there. */
#include "object.h"

#define __ksym __attribute__((section(".ksyms")))

struct rq {
	unsigned int nr_running;
};
enum xdp_rss_hash_type;

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;
extern int bpf_xdp_metadata_rx_timestamp___flavour(const struct xdp_md *, __u64 *) __ksym;
extern void bpf_never_was(int) __ksym __weak;
extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym __weak;
extern const int variable_that_never_was __ksym __weak;
extern const void bpf_prog_put __ksym;
extern const void symbol_that_never_was __ksym __weak;

SEC("xdp")
int symbols(struct xdp_md *ctx)
{
	__u64 timestamp = 0;

	bpf_xdp_metadata_rx_timestamp(ctx, &timestamp);
	bpf_xdp_metadata_rx_timestamp___flavour(ctx, &timestamp);
	if (bpf_never_was)
		bpf_never_was(1);
	timestamp += (__u64)&runqueues + (__u64)&bpf_prog_put;
	if (&bpf_prog_active)
		timestamp += bpf_prog_active;
	if (&variable_that_never_was)
		timestamp += variable_that_never_was;
	if (&symbol_that_never_was)
		timestamp++;
	return timestamp ? 2 : 1;
}

char _license[] SEC("license") = "GPL";
