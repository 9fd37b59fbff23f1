// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A weak setting. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int CONFIG_HZ __kconfig __weak;
SEC("raw_tp/sys_enter") int reads(void *ctx) { return CONFIG_HZ; }

char LICENSE[] SEC("license") = "GPL";
