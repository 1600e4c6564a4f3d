/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Values of the kernel's configuration in every shape, and one that no kernel has. */
#include "object.h"

#define __kconfig __attribute__((section(".kconfig")))

enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern enum libbpf_tristate CONFIG_VETH __kconfig __weak;
extern unsigned long CONFIG_HZ __kconfig __weak;
extern char CONFIG_BPF_JIT __kconfig __weak;
extern const char CONFIG_CC_VERSION_TEXT[16] __kconfig __weak;
extern unsigned short CONFIG_THAT_NEVER_WAS __kconfig __weak;
extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;

SEC("xdp")
int configured(struct xdp_md *ctx)
{
	__u64 sum = LINUX_KERNEL_VERSION + CONFIG_BPF_SYSCALL + CONFIG_VETH + CONFIG_HZ;

	sum += CONFIG_BPF_JIT + CONFIG_CC_VERSION_TEXT[3] + CONFIG_THAT_NEVER_WAS;
	sum += LINUX_HAS_BPF_COOKIE;
	return sum ? 2 : 1;
}

char _license[] SEC("license") = "GPL";
