// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A setting that libbpf would have to know by itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_NO_SUCH __kconfig;

SEC("raw_tp/sys_enter") int first(void *ctx) { return LINUX_NO_SUCH; }

char _license[] SEC("license") = "GPL";
