// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* There are no settings of the kernel, used or not. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

extern unsigned int CONFIG_HZ __kconfig;
SEC("socket") int one(void *ctx) { return CONFIG_HZ == 0; }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
