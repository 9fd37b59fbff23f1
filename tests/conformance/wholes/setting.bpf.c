// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A setting that the kernel's configuration does not have. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int CONFIG_NO_SUCH __kconfig;

SEC("raw_tp/sys_enter") int first(void *ctx) { return CONFIG_NO_SUCH; }

char _license[] SEC("license") = "GPL";
