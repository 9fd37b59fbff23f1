// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A setting that is none of the kernel's configuration, beside one that is. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;
extern int CONFIG_HZ __kconfig;
SEC("raw_tp/sys_enter") int reads(void *ctx) { return LINUX_HAS_BPF_COOKIE; }
SEC("raw_tp/sys_enter") int beside(void *ctx) { return CONFIG_HZ; }

char LICENSE[] SEC("license") = "GPL";
