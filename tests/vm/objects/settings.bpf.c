/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Settings of the kernel: one that every kernel has, and a weak one that none has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int CONFIG_HZ __kconfig;
extern int CONFIG_EVERYKERNEL_HAS_NONE __kconfig __weak;

SEC("socket")
int strong(void *ctx)
{
	return CONFIG_HZ;
}

SEC("socket")
int weak(void *ctx)
{
	return CONFIG_EVERYKERNEL_HAS_NONE;
}

char LICENSE[] SEC("license") = "GPL";
