// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Checksums, text, time, memory that may not be there, MTUs. */
#include "note.h"

const char shorter[] = "eth";
const char longer[] = "ethernet";

SEC("xdp")
int xdp_checksum(struct xdp_md *ctx)
{
	__u8 ones[64], mixed[64], zeroes[64];

	for (int i = 0; i < 64; i++) {
		ones[i] = 0xff;
		mixed[i] = i * 37 + 11;
		zeroes[i] = 0;
	}
	NOTE(0, bpf_csum_diff(0, 0, 0, 0, 0));
	NOTE(1, bpf_csum_diff(0, 0, 0, 0, HIDE(0x1ffffU)));
	NOTE(2, bpf_csum_diff(0, 0, 0, 0, HIDE(0xffffffffU)));
	NOTE(3, bpf_csum_diff(0, 0, (void *)mixed, 4, 0));
	NOTE(4, bpf_csum_diff(0, 0, (void *)mixed, 64, 0x1234));
	NOTE(5, bpf_csum_diff((void *)mixed, 20, 0, 0, 0));
	NOTE(6, bpf_csum_diff((void *)mixed, 20, 0, 0, HIDE(0xffffffffU)));
	NOTE(7, bpf_csum_diff((void *)mixed, 20, (void *)mixed + 4, 20, 0));
	NOTE(8, bpf_csum_diff((void *)mixed, 20, (void *)mixed, 20, 0));
	NOTE(9, bpf_csum_diff((void *)mixed, 8, (void *)ones, 40, HIDE(0xdeadbeefU)));
	NOTE(10, bpf_csum_diff(0, 0, (void *)ones, 64, 0));
	NOTE(11, bpf_csum_diff((void *)ones, 64, 0, 0, 0));
	NOTE(12, bpf_csum_diff((void *)ones, 4, (void *)zeroes, 4, 0));
	NOTE(13, bpf_csum_diff((void *)zeroes, 64, 0, 0, 0));
	NOTE(14, bpf_csum_diff(0, 0, (void *)zeroes, 64, 0));
	NOTE(15, bpf_csum_diff((void *)ones, 8, (void *)ones, 4, HIDE(0xffff0000U)));
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 40 <= end)
		NOTE(16, bpf_csum_diff(data + 14, 20, data + 12, 28, 7));
	return XDP_PASS;
}

/* Lengths that are no multiple of four, which kernels before 6.13 refuse. */
SEC("xdp")
int xdp_checksum_odd(struct xdp_md *ctx)
{
	__u8 mixed[64];

	for (int i = 0; i < 64; i++)
		mixed[i] = i * 91 + 200;
	NOTE(0, bpf_csum_diff(0, 0, (void *)mixed, 1, 0));
	NOTE(1, bpf_csum_diff(0, 0, (void *)mixed, 5, 0));
	NOTE(2, bpf_csum_diff(0, 0, (void *)mixed + 1, 7, 9));
	NOTE(3, bpf_csum_diff((void *)mixed + 1, 3, (void *)mixed + 3, 61, 0));
	NOTE(4, bpf_csum_diff((void *)mixed + 2, 13, 0, 0, HIDE(0x80000000U)));
	return XDP_PASS;
}

#define NUMBER(at, text, flags)                                                                    \
	do {                                                                                       \
		const char string[] = text;                                                        \
		long is = 77;                                                                      \
		unsigned long us = 77;                                                             \
		NOTE(at, bpf_strtol(string, sizeof(string) - 1, flags, &is));                      \
		NOTE(at + 1, is);                                                                  \
		NOTE(at + 2, bpf_strtoul(string, sizeof(string) - 1, flags, &us));                 \
		NOTE(at + 3, us);                                                                  \
	} while (0)

SEC("xdp")
int xdp_numbers(struct xdp_md *ctx)
{
	NUMBER(0, "42 ", 10);
	NUMBER(4, "  -42x", 0);
	NUMBER(8, "0x1fg", 0);
	NUMBER(12, "0x1fg", 16);
	NUMBER(16, "0175", 0);
	NUMBER(20, "9223372036854775808", 10);
	NUMBER(24, "-9223372036854775808", 10);
	NUMBER(28, "18446744073709551616", 10);
	NUMBER(32, "-", 0);
	NUMBER(36, "+7", 0);
	NUMBER(40, "12", HIDE(2ULL));
	NUMBER(44, "12", HIDE(0x20ULL));
	NUMBER(48, "0x", 16);
	NUMBER(52, "0x", 0);
	NUMBER(56, "\t\v7", 0);
	return XDP_PASS;
}

SEC("xdp")
int xdp_compare(struct xdp_md *ctx)
{
	char text[8] = "eth0";

	NOTE(0, bpf_strncmp(text, 8, shorter));
	NOTE(1, bpf_strncmp(text, 3, shorter));
	NOTE(2, bpf_strncmp(text, 4, shorter));
	NOTE(3, bpf_strncmp(text, 8, longer));
	NOTE(4, bpf_strncmp(text, 3, longer));
	text[3] = 0;
	NOTE(5, bpf_strncmp(text, 8, shorter));
	return XDP_PASS;
}

char printed[9][80];

#define PRINT(at, format, ...)                                                                     \
	do {                                                                                       \
		static const char string[] = format;                                               \
		__u64 arguments[] = { __VA_ARGS__ };                                               \
		NOTE(at, bpf_snprintf(printed[at], sizeof(printed[at]), string, arguments,         \
				      sizeof(arguments)));                                         \
	} while (0)

SEC("xdp")
int xdp_print(struct xdp_md *ctx)
{
	static const char plain[] = "nothing to fill in";
	__u64 address = 0x0102030405060708;

	PRINT(0, "%d|%i|%u|%ld|%lu|%lld", -1, -2, -3, -4, -5, 1ULL << 40);
	PRINT(1, "%x|%X|%08x|%5d|%-5d|%05d", 0xbeef, 0xbeef, 0xbeef, 42, 42, -42);
	PRINT(2, "%+d|% d|%c%c|100%%|", 7, 7, 'o', 'k');
	PRINT(3, "%pI4|%pi4|", (__u64)(long)&address, (__u64)(long)&address);
	PRINT(4, "%s|%8s|%-8s|", (__u64)(long)shorter, (__u64)(long)shorter, (__u64)(long)shorter);
	PRINT(5, "%pI6|", (__u64)(long)longer);
	PRINT(6, "%px|%pks|", 0xbeef, (__u64)(long)shorter);
	NOTE(8, bpf_snprintf(printed[8], 8, plain, 0, 0));
	return XDP_PASS;
}

SEC("xdp")
int xdp_say(struct xdp_md *ctx)
{
	char unended[4] = { 'a', 'b', 'c', 'd' };
	char wrong[] = "%f";

	NOTE(0, bpf_printk("one %d two %x three %s", 1, 2, (long)shorter));
	NOTE(1, bpf_trace_printk(unended, sizeof(unended)));
	NOTE(2, bpf_trace_printk(wrong, sizeof(wrong), 1));
	NOTE(3, bpf_printk("%d %d %d %d", 1, 2, 3, 4));
	return XDP_PASS;
}

SEC("xdp")
int xdp_time(struct xdp_md *ctx)
{
	__u64 first = bpf_ktime_get_ns(), boot = bpf_ktime_get_boot_ns();
	__u64 second = bpf_ktime_get_ns();

	NOTE(0, first != 0 && second >= first);
	NOTE(1, boot >= first);
	NOTE(2, bpf_ktime_get_tai_ns() > 1600000000ULL * 1000000000);
	NOTE(3, bpf_ktime_get_coarse_ns() <= bpf_ktime_get_ns());
	NOTE(4, bpf_jiffies64() > 4000000000ULL);
	NOTE(5, bpf_get_smp_processor_id() < 4096);
	NOTE(6, bpf_get_numa_node_id());
	NOTE(7, bpf_get_prandom_u32() >> 31 >> 1);
	return XDP_PASS;
}

SEC("xdp")
int xdp_probe(struct xdp_md *ctx)
{
	__u64 to = 1;
	char text[8] = "xxxxxxx";

	NOTE(0, bpf_probe_read_kernel(&to, 8, longer));
	NOTE(1, to);
	NOTE(2, bpf_probe_read_kernel(&to, 8, (void *)HIDE(8L)));
	NOTE(3, to);
	NOTE(4, bpf_probe_read_kernel_str(text, 8, longer));
	NOTE(5, *(__u64 *)text);
	NOTE(6, bpf_probe_read_kernel_str(text, 8, shorter));
	NOTE(7, *(__u64 *)text);
	NOTE(8, bpf_probe_read_kernel_str(text, 8, (void *)HIDE(8L)));
	NOTE(9, *(__u64 *)text);
	NOTE(10, bpf_probe_read_kernel(&to, 0, longer));
	return XDP_PASS;
}

SEC("xdp")
int xdp_mtu(struct xdp_md *ctx)
{
	__u32 length = 0;

	NOTE(0, bpf_check_mtu(ctx, 0, &length, 0, 0));
	NOTE(1, length);
	NOTE(2, bpf_check_mtu(ctx, 1, &length, 0, 0));
	NOTE(3, bpf_check_mtu(ctx, 1, &length, 1, 0));
	length = 65536;
	NOTE(4, bpf_check_mtu(ctx, 1, &length, 1, 0));
	NOTE(5, length);
	length = 0xffffff00;
	NOTE(6, bpf_check_mtu(ctx, 1, &length, 0, 0));
	length = 5;
	NOTE(7, bpf_check_mtu(ctx, 1, &length, HIDE((int)0x80000000), 0));
	length = 5;
	NOTE(8, bpf_check_mtu(ctx, 1, &length, 0, 1));
	NOTE(9, length);
	NOTE(10, bpf_check_mtu(ctx, 4711, &length, 0, 0));
	NOTE(11, length);
	return XDP_PASS;
}
