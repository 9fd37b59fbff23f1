// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The kernel's version in a typedef; another setting beside it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern __u32 LINUX_KERNEL_VERSION __kconfig;
SEC("raw_tp/sys_enter") int reads(void *ctx) { return LINUX_KERNEL_VERSION > 0; }
SEC("raw_tp/sys_enter") int other(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
